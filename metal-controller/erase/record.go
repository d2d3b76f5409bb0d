// Package erase makes and checks erase records: what was erased of one server, signed by the installation, for an auditor.
//
// Layer 1: pure, no I/O, no clock, no randomness but that of NewKey's caller. Where records are kept is the business of erase/ledger. Invariants:
//   - A record has one form in bytes: Verify refuses a payload that this package would write differently.
//   - A record says nothing but what the wipe's grant and receipt say. A disk of the grant without a good row in the receipt is NotErased.
//   - Signing is deterministic (RFC 6979), so that a crash between signing and keeping leaves nothing behind that differs.
package erase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// SchemaVersion of the document. A reader refuses any other.
const SchemaVersion = 1

// Verdict on one disk.
type Verdict string

// The verdicts.
const (
	// Erased: erased to the granted level at least, and read back.
	Erased Verdict = "Erased"
	// NotErased: the receipt has no row for it, or one with an error or a lower level.
	NotErased Verdict = "NotErased"
)

// Record is the document. Times are UTC with whole seconds.
type Record struct {
	SchemaVersion int `json:"schemaVersion"`
	// Installation is the random id of the Ingot installation that granted the wipe.
	Installation string `json:"installation"`
	// Server is the name of the machine in that installation.
	Server string `json:"server"`
	// System is how the machine is labelled (SMBIOS type 1), as its agent reported it.
	System System `json:"system"`
	// Wipe that was carried out.
	Wipe Wipe `json:"wipe"`
	// Agent that carried it out.
	Agent Agent `json:"agent"`
	// Disks, one for each disk of the grant, in its order.
	Disks []Disk `json:"disks"`
	// Key that signs the document.
	Key Key `json:"key"`
}

// System is the label of a machine.
type System struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
	Serial       string `json:"serial,omitempty"`
}

// Wipe is the grant and what became of it.
type Wipe struct {
	ID         string          `json:"id"`
	Generation int64           `json:"generation"`
	Level      metal.WipeLevel `json:"level"`
	// AcceptRequest is the id of the gesture of `ingot accept` that the server's acceptance rests on; empty when its disks were proven blank.
	AcceptRequest string `json:"acceptRequest,omitempty"`
	// GrantedAt is when Ingot granted it; VerifiedAt is when the receipt came in that says that every disk was read back.
	GrantedAt  time.Time `json:"grantedAt"`
	VerifiedAt time.Time `json:"verifiedAt"`
}

// Agent is the program that erased, and the boot that it ran in.
type Agent struct {
	BootID  string `json:"bootID"`
	Version string `json:"version,omitempty"`
}

// Disk is one row.
type Disk struct {
	WWID      string          `json:"wwid,omitempty"`
	Serial    string          `json:"serial,omitempty"`
	Model     string          `json:"model,omitempty"`
	SizeBytes int64           `json:"sizeBytes,omitempty"`
	Methods   []string        `json:"methods,omitempty"`
	Reached   metal.WipeLevel `json:"reached,omitempty"`
	// BlocksRead is how many blocks were read back and were as they should be.
	BlocksRead int64   `json:"blocksRead"`
	Seconds    int64   `json:"seconds"`
	Verdict    Verdict `json:"verdict"`
	// Error says why the disk is NotErased.
	Error string `json:"error,omitempty"`
}

// Key names the signing key.
type Key struct {
	// Fingerprint is the SHA-256 of the public key (SPKI, DER), lower-case hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// PublicKey is the key itself, PEM. It is a help for archives: a record proves nothing with a key that came with it alone.
	PublicKey string `json:"publicKey"`
}

// ErrNoReceipt says that there is nothing to make a record of.
var ErrNoReceipt = errors.New("the server's record holds no wipe with a receipt")

// Of makes the document of the wipe that a Server's record holds. The inventory may be nil. Key is filled in by Sign.
func Of(installation string, server *metal.Server, inventory *metal.ServerInventorySpec) (Record, error) {
	r := server.Spec.Record
	if r == nil || r.Wipe == nil || r.Wipe.Receipt == nil {
		return Record{}, fmt.Errorf("making the erase record of %s: %w", server.Name, ErrNoReceipt)
	}
	w := r.Wipe
	out := Record{
		SchemaVersion: SchemaVersion, Installation: installation, Server: server.Name,
		Wipe: Wipe{
			ID: w.ID, Generation: w.Receipt.Generation, Level: w.Level,
			GrantedAt: second(w.GrantedAt.Time), VerifiedAt: second(w.Receipt.At.Time),
		},
		Agent: Agent{BootID: w.BootID}, Disks: rows(w),
	}
	if r.Acceptance != nil {
		out.Wipe.AcceptRequest = r.Acceptance.RequestID
	}
	if inventory != nil {
		s := inventory.System
		out.System = System{Manufacturer: s.Manufacturer, Product: s.Product, Serial: s.Serial}
		if inventory.Agent.BootID == w.BootID { // another boot may have had another agent
			out.Agent.Version = inventory.Agent.Version
		}
	}
	return out, nil
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// rows has one row for each disk of the grant, in its order.
func rows(w *metal.WipeRecord) []Disk {
	out := make([]Disk, 0, len(w.Disks))
	for _, d := range w.Disks {
		out = append(out, row(w, d))
	}
	return out
}

// row is what the receipt says of one disk.
func row(w *metal.WipeRecord, granted metal.DiskID) Disk {
	for _, d := range w.Receipt.Disks {
		if d.DiskID != granted {
			continue
		}
		out := Disk{
			WWID: d.WWID, Serial: d.Serial, Model: d.Model, SizeBytes: d.SizeBytes, Methods: d.Methods, Reached: d.Reached,
			BlocksRead: d.BlocksRead, Seconds: d.Seconds, Verdict: Erased, Error: d.Error,
		}
		if out.Error == "" && rank(d.Reached) < rank(w.Level) {
			out.Error = "the level that was granted was not reached"
		}
		if out.Error != "" {
			out.Verdict = NotErased
		}
		return out
	}
	return Disk{WWID: granted.WWID, Serial: granted.Serial, Verdict: NotErased, Error: "the receipt has no row for it"}
}

// rank orders levels; an unknown one is the lowest.
func rank(l metal.WipeLevel) int {
	return map[metal.WipeLevel]int{metal.WipeQuick: 1, metal.WipeClear: 2, metal.WipePurge: 3}[l]
}

// Clean says that every disk of the record is Erased.
func (r Record) Clean() bool {
	for _, d := range r.Disks {
		if d.Verdict != Erased {
			return false
		}
	}
	return true
}

// encode is the one form of a record in bytes.
func encode(r Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding an erase record: %w", err)
	}
	return b.Bytes(), nil
}
