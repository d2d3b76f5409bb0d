package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Asset is one file with the digest that is verified before its first byte is served.
type Asset struct {
	// URL to fetch it from: http or https.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	URL string `json:"url"`
	// SHA256 of the file in lower-case hexadecimal.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256"`
	// SizeBytes is how large it was when it was pinned; for people, the digest decides.
	// +kubebuilder:validation:Minimum=0
	// +optional
	SizeBytes int64 `json:"sizeBytes,omitempty"`
}

// BootAssets is what one architecture boots: kernel with initramfs, or a UKI.
//
// +kubebuilder:validation:XValidation:rule="has(self.uki) != has(self.kernel)",message="set either uki, or kernel with initramfs"
// +kubebuilder:validation:XValidation:rule="has(self.kernel) == has(self.initramfs)",message="kernel and initramfs go together"
type BootAssets struct {
	// Arch is amd64 or arm64.
	// +kubebuilder:validation:Enum=amd64;arm64
	Arch string `json:"arch"`
	// Kernel to boot; it goes together with initramfs.
	// +optional
	Kernel *Asset `json:"kernel,omitempty"`
	// Initramfs of the kernel.
	// +optional
	Initramfs *Asset `json:"initramfs,omitempty"`
	// UKI is a unified kernel image.
	// +optional
	UKI *Asset `json:"uki,omitempty"`
	// Args of the kernel. The whole line has at most 2,048 bytes on x86; leave room for what Ingot adds.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[!-~]+$`
	// +listType=atomic
	// +optional
	Args []string `json:"args,omitempty"`
}

// TalosSource is a Talos release from an Image Factory.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.schematic) && has(self.schematicID))",message="set schematic or schematicID, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.boot) || has(self.schematicID)",message="boot needs schematicID: nobody is asked for it"
// +kubebuilder:validation:XValidation:rule="!(has(self.boot) && has(self.architectures))",message="boot names the architectures itself: leave architectures out"
type TalosSource struct {
	// Version of Talos, for instance v1.13.0.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`
	Version string `json:"version"`
	// SchematicID of the Image Factory.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	// +optional
	SchematicID string `json:"schematicID,omitempty"`
	// Schematic as YAML; it is posted to the Image Factory as it is. With neither this nor schematicID, Talos comes without extensions.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	Schematic string `json:"schematic,omitempty"`
	// FactoryURL of the Image Factory; https://factory.talos.dev when empty. With http nothing proves what is fetched first.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[^\s/?#@]+(/[^\s?#@]*)?$`
	// +optional
	FactoryURL string `json:"factoryURL,omitempty"`
	// SecureBoot asks for signed unified kernel images.
	// +optional
	SecureBoot bool `json:"secureBoot,omitempty"`
	// Architectures of the machines that boot it; amd64 when empty.
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=amd64;arm64
	// +listType=set
	// +optional
	Architectures []string `json:"architectures,omitempty"`
	// Boot names the files, for where the Image Factory cannot be asked; it is then never asked. Copy it from status.talos.boot of an Environment elsewhere,
	// or name files by their digests.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=map
	// +listMapKey=arch
	// +optional
	Boot []BootAssets `json:"boot,omitempty"`
}

// EnvironmentSpec is what to boot.
//
// +kubebuilder:validation:XValidation:rule="has(self.talos) != has(self.boot)",message="set exactly one of talos and boot"
type EnvironmentSpec struct {
	// Talos release with its schematic.
	// +optional
	Talos *TalosSource `json:"talos,omitempty"`
	// Boot assets per architecture.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=map
	// +listMapKey=arch
	// +optional
	Boot []BootAssets `json:"boot,omitempty"`
}

// AssetStatus says how one file fares in the caches of the pxe-servers.
type AssetStatus struct {
	// Name tells which one it is, for instance amd64/kernel.
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`
	// SHA256 of the file.
	// +kubebuilder:validation:MaxLength=64
	SHA256 string `json:"sha256"`
	// State is Cached, Fetching, Failed or Unknown; the worst of all sites.
	// +kubebuilder:validation:MaxLength=16
	State string `json:"state"`
	// Percent that was fetched.
	// +optional
	Percent int32 `json:"percent,omitempty"`
	// Message names the site and the trouble.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
	// OtherBytes: the source has another file than the digest names. It is refused.
	// +optional
	OtherBytes bool `json:"otherBytes,omitempty"`
}

// TalosPin is what spec.talos was found to be. It is written once: other bytes are refused afterwards.
type TalosPin struct {
	// Source is the SHA-256 of what of spec.talos it was found for, without the architectures. The pin of anything else is not used.
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source"`
	// SchematicID is the Image Factory's.
	// +kubebuilder:validation:MaxLength=64
	SchematicID string `json:"schematicID"`
	// Installer is the reference of the image that installs it, for machine.install.image.
	// +kubebuilder:validation:MaxLength=1024
	Installer string `json:"installer"`
	// PinnedAt is when the first file was pinned; the annotation metal.ingot.dev/forget-pin names the pin by it.
	PinnedAt metav1.Time `json:"pinnedAt"`
	// Boot is the files with their digests, and the kernel line: the Image Factory's, and what Ingot adds to it.
	// +kubebuilder:validation:MaxItems=2
	// +listType=map
	// +listMapKey=arch
	Boot []BootAssets `json:"boot"`
}

// EnvironmentStatus says whether it can be served.
type EnvironmentStatus struct {
	// Talos is what spec.talos was found to be.
	// +optional
	Talos *TalosPin `json:"talos,omitempty"`
	// Assets are its files.
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	// +optional
	Assets []AssetStatus `json:"assets,omitempty"`
	// Conditions say what is so and why.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// Environment is what to boot: a Talos release, or kernel, initramfs or UKI per architecture with digests and arguments.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io/move="
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=env,categories=metal
// +kubebuilder:printcolumn:name="Talos",type=string,JSONPath=`.spec.talos.version`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Schematic",type=string,priority=1,JSONPath=`.status.talos.schematicID`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Environment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	Spec EnvironmentSpec `json:"spec"`
	// Status is what was observed.
	Status EnvironmentStatus `json:"status,omitempty"`
}

// EnvironmentList is a list of Environments.
//
// +kubebuilder:object:root=true
type EnvironmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Environment `json:"items"`
}
