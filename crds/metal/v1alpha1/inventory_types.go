package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SystemInfo is SMBIOS type 1 (DSP0134 section 7.2).
type SystemInfo struct {
	// Manufacturer of the system.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Product name.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Product string `json:"product,omitempty"`
	// Version of the product.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Version string `json:"version,omitempty"`
	// Serial number of the system; many boards carry a placeholder.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// SKU number.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	SKU string `json:"sku,omitempty"`
	// Family of the product.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Family string `json:"family,omitempty"`
	// UUID in lower case; empty when the firmware has none.
	// +kubebuilder:validation:MaxLength=36
	// +optional
	UUID string `json:"uuid,omitempty"`
}

// BoardInfo is SMBIOS type 2 or 3: baseboard or chassis.
type BoardInfo struct {
	// Manufacturer of the part.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Product name of the part.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Product string `json:"product,omitempty"`
	// Serial number of the part.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// AssetTag that the owner wrote.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	AssetTag string `json:"assetTag,omitempty"`
}

// FirmwareInfo is SMBIOS type 0 and how the machine really booted.
type FirmwareInfo struct {
	// Vendor of the firmware.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Vendor string `json:"vendor,omitempty"`
	// Version of the firmware.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Version string `json:"version,omitempty"`
	// Date of the release, as the firmware writes it.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Date string `json:"date,omitempty"`
	// Mode is UEFI or BIOS, as the kernel was started.
	// +optional
	Mode BootMode `json:"mode,omitempty"`
	// SecureBoot is whether it was enforced.
	// +optional
	SecureBoot bool `json:"secureBoot,omitempty"`
}

// CPU is one socket (SMBIOS type 4).
type CPU struct {
	// Socket designation.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Socket string `json:"socket,omitempty"`
	// Manufacturer of the CPU.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Model of the CPU.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Model string `json:"model,omitempty"`
	// Cores of this CPU.
	// +optional
	Cores int32 `json:"cores,omitempty"`
	// Threads of this CPU.
	// +optional
	Threads int32 `json:"threads,omitempty"`
	// SpeedMHz is the rated speed.
	// +optional
	SpeedMHz int32 `json:"speedMHz,omitempty"`
}

// DIMM is one filled memory slot (SMBIOS type 17).
type DIMM struct {
	// Slot designation.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Slot string `json:"slot,omitempty"`
	// SizeBytes of the module.
	// +optional
	SizeBytes int64 `json:"sizeBytes,omitempty"`
	// Type of memory, for instance DDR5.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Type string `json:"type,omitempty"`
	// SpeedMTs in mega-transfers per second.
	// +optional
	SpeedMTs int32 `json:"speedMTs,omitempty"`
	// Manufacturer of the module.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// Part number.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Part string `json:"part,omitempty"`
	// Serial number.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
}

// Memory is the installed memory.
type Memory struct {
	// TotalBytes is the sum of the DIMMs, or what the kernel sees when SMBIOS names none.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// DIMMs in filled slots.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	DIMMs []DIMM `json:"dimms,omitempty"`
}

// DiskContents is what the first and last sectors of a disk show, read without writing.
//
// +kubebuilder:validation:Enum=Blank;Bootable;Data;Unreadable
type DiskContents string

const (
	// DiskBlank shows only zeros where partition tables, file systems and boot loaders live.
	DiskBlank DiskContents = "Blank"
	// DiskBootable has a boot loader that firmware would start: an EFI system partition, or boot code with an active partition.
	DiskBootable DiskContents = "Bootable"
	// DiskData has something, and nothing that firmware would start.
	DiskData DiskContents = "Data"
	// DiskUnreadable could not be read.
	DiskUnreadable DiskContents = "Unreadable"
)

// Disk is one block device that is a disk.
type Disk struct {
	// Name is the kernel's name at this boot; it may change.
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// SizeBytes of the whole disk.
	// +optional
	SizeBytes int64 `json:"sizeBytes,omitempty"`
	// Model of the disk.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Model string `json:"model,omitempty"`
	// Serial number that the disk tells.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Serial string `json:"serial,omitempty"`
	// WWID is the world-wide identifier; without one the disk is never wiped.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WWID string `json:"wwid,omitempty"`
	// Transport is nvme, sata, sas, scsi, virtio, usb, mmc, iscsi, fc, raid or unknown.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Transport string `json:"transport,omitempty"`
	// Rotational is true for spinning disks.
	// +optional
	Rotational bool `json:"rotational,omitempty"`
	// Removable is true for media that can be taken out; such disks are never wiped.
	// +optional
	Removable bool `json:"removable,omitempty"`
	// ReadOnly is true when the kernel refuses writes.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
	// SectorBytes is the logical sector size.
	// +optional
	SectorBytes int32 `json:"sectorBytes,omitempty"`
	// PCIAddress of the controller that the disk hangs on.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	PCIAddress string `json:"pciAddress,omitempty"`
	// Contents is what the disk shows.
	// +optional
	Contents DiskContents `json:"contents,omitempty"`
}

// Neighbor is what the switch port said over LLDP (IEEE 802.1AB).
type Neighbor struct {
	// ChassisID of the switch.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ChassisID string `json:"chassisID,omitempty"`
	// PortID of the switch port.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	PortID string `json:"portID,omitempty"`
	// PortDescription of the switch port.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	PortDescription string `json:"portDescription,omitempty"`
	// SystemName of the switch.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	SystemName string `json:"systemName,omitempty"`
}

// NIC is one network interface with hardware behind it.
type NIC struct {
	// Name is the kernel's name at this boot.
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`
	// MAC in use.
	// +kubebuilder:validation:MaxLength=17
	// +optional
	MAC string `json:"mac,omitempty"`
	// PermanentMAC is what the hardware was made with; empty when the driver does not tell.
	// +kubebuilder:validation:MaxLength=17
	// +optional
	PermanentMAC string `json:"permanentMAC,omitempty"`
	// Driver that the kernel bound.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Driver string `json:"driver,omitempty"`
	// SpeedMbps of the link; 0 when there is none or the driver does not tell.
	// +optional
	SpeedMbps int32 `json:"speedMbps,omitempty"`
	// Carrier is whether the link is up.
	// +optional
	Carrier bool `json:"carrier,omitempty"`
	// PCIAddress of the interface.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	PCIAddress string `json:"pciAddress,omitempty"`
	// Neighbor is the switch port; absent when none was heard in time.
	// +optional
	Neighbor *Neighbor `json:"neighbor,omitempty"`
}

// PCIDevice is one device on the PCI bus. A device without a driver is the usual reason for a missing disk or interface.
type PCIDevice struct {
	// Address is domain:bus:device.function.
	// +kubebuilder:validation:MaxLength=16
	Address string `json:"address"`
	// Vendor id, four hexadecimal digits.
	// +kubebuilder:validation:MaxLength=4
	Vendor string `json:"vendor"`
	// Device id, four hexadecimal digits.
	// +kubebuilder:validation:MaxLength=4
	Device string `json:"device"`
	// Class code, six hexadecimal digits.
	// +kubebuilder:validation:MaxLength=6
	// +optional
	Class string `json:"class,omitempty"`
	// Driver bound to it; empty when none is.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Driver string `json:"driver,omitempty"`
}

// TPM is the trusted platform module.
type TPM struct {
	// Present is whether the kernel found one.
	Present bool `json:"present"`
	// Version is 1.2 or 2.0.
	// +kubebuilder:validation:MaxLength=8
	// +optional
	Version string `json:"version,omitempty"`
}

// AgentInfo says who reported.
type AgentInfo struct {
	// Version of the agent.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Version string `json:"version,omitempty"`
	// Kernel release that the agent ran on.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Kernel string `json:"kernel,omitempty"`
	// BootID of the boot that it reported from.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BootID string `json:"bootID,omitempty"`
	// Proven is the trust level of that boot; 0 is unproven.
	// +optional
	Proven int32 `json:"proven,omitempty"`
}

// ServerInventorySpec is the hardware of a server as its agent reported it.
type ServerInventorySpec struct {
	// Arch is amd64 or arm64.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Arch string `json:"arch,omitempty"`
	// System is the machine as a whole.
	// +optional
	System SystemInfo `json:"system,omitempty"`
	// Baseboard is the main board (SMBIOS type 2).
	// +optional
	Baseboard BoardInfo `json:"baseboard,omitempty"`
	// Chassis is the case (SMBIOS type 3).
	// +optional
	Chassis BoardInfo `json:"chassis,omitempty"`
	// Firmware of the machine.
	// +optional
	Firmware FirmwareInfo `json:"firmware,omitempty"`
	// CPUs in filled sockets.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	CPUs []CPU `json:"cpus,omitempty"`
	// Memory installed.
	// +optional
	Memory Memory `json:"memory,omitempty"`
	// Disks that the kernel sees.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Disks []Disk `json:"disks,omitempty"`
	// NICs are network interfaces with hardware behind them.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	NICs []NIC `json:"nics,omitempty"`
	// PCI lists the devices on the bus.
	// +kubebuilder:validation:MaxItems=512
	// +listType=atomic
	// +optional
	PCI []PCIDevice `json:"pci,omitempty"`
	// TPM is the trusted platform module.
	// +optional
	TPM TPM `json:"tpm,omitempty"`
	// IPMI says that the machine has a way to its BMC from within (/dev/ipmi0).
	// +optional
	IPMI bool `json:"ipmi,omitempty"`
	// Agent that reported.
	// +optional
	Agent AgentInfo `json:"agent,omitempty"`
	// ReportedAt is when the server side of the agent wrote this, by Ingot's clock.
	// +optional
	ReportedAt metav1.Time `json:"reportedAt,omitempty"`
}

// ServerInventory is the hardware of the Server of the same name. It is written only by the agent's server side.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io="
// +kubebuilder:metadata:labels="clusterctl.cluster.x-k8s.io/move="
// +kubebuilder:resource:scope=Cluster,shortName=sinv,categories=metal
// +kubebuilder:printcolumn:name="Manufacturer",type=string,JSONPath=`.spec.system.manufacturer`
// +kubebuilder:printcolumn:name="Product",type=string,JSONPath=`.spec.system.product`
// +kubebuilder:printcolumn:name="Serial",type=string,JSONPath=`.spec.system.serial`
// +kubebuilder:printcolumn:name="Arch",type=string,JSONPath=`.spec.arch`
// +kubebuilder:printcolumn:name="Firmware",type=string,JSONPath=`.spec.firmware.mode`
// +kubebuilder:printcolumn:name="Reported",type=date,JSONPath=`.spec.reportedAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ServerInventory struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the hardware as the agent reported it.
	Spec ServerInventorySpec `json:"spec,omitempty"`
}

// ServerInventoryList is a list of ServerInventories.
//
// +kubebuilder:object:root=true
type ServerInventoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServerInventory `json:"items"`
}
