package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ManagedBy names the one installation that may act on the server.
type ManagedBy struct {
	// Installation is the random id of an Ingot installation.
	// +kubebuilder:validation:MaxLength=63
	Installation string `json:"installation"`
	// Epoch counts hand-overs.
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch"`
	// Object is the UID of the Server in which Installation wrote this. Where the Server has another one, the record came by another hand: clusterctl, a repository, a
	// restore.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Object string `json:"object,omitempty"`
	// LetGo says that Installation acts on the server no more, and who may take it over.
	// +optional
	LetGo *LetGo `json:"letGo,omitempty"`
}

// LetGo is an offer: whoever holds the other side of the binding, or is told to by a person, takes the server over.
type LetGo struct {
	// At is when Installation stopped acting on the server.
	At metav1.Time `json:"at"`
	// BindingID is the binding whose claim goes along; empty when a person let the server go.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	BindingID string `json:"bindingID,omitempty"`
	// ClaimUID is the UID of that claim: as long as this very object is here, it was not moved.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ClaimUID string `json:"claimUID,omitempty"`
	// PackedAt is when the passport of the server was written; nothing is moved before.
	// +optional
	PackedAt *metav1.Time `json:"packedAt,omitempty"`
}

// Foreign says that an installation may not act on a server with this record: another one manages it, or it let the server go itself. A server that nobody
// manages is not foreign.
func (r *ServerRecord) Foreign(installation string) bool {
	return r != nil && r.ManagedBy != nil && (r.ManagedBy.Installation != installation || r.ManagedBy.LetGo != nil)
}
