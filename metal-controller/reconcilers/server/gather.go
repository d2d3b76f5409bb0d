package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// gather only reads, except that it tells the BMC plane where the BMC is.
func (r *Reconciler) gather(ctx context.Context, server *metal.Server) (lifecycle.Observation, error) {
	o := lifecycle.Observation{
		Now: r.Now(), Installation: r.Installation, Server: server, DryRun: r.DryRun,
		ConflictsWith: r.conflicts(ctx, server.Name),
	}
	o.Unserved, o.UnservedArch = r.Sightings.WhyUnserved(server.Name)
	if bootID, ok := r.Sightings.Session(server.Name); ok {
		o.Agent = &lifecycle.AgentSession{BootID: bootID}
	}
	var err error
	if o.NewID, err = r.newID(); err != nil {
		return o, err
	}
	if record := server.Spec.Record; record != nil && record.Agent != nil {
		o.AgentHeard = r.remembered(&o, r.Sightings.Notice(server.Name, lifecycle.Word(record)))
	}
	if err := r.hardware(ctx, &o); err != nil {
		return o, err
	}
	if o.Budget, err = r.budget(ctx); err != nil {
		return o, err
	}
	if o.Erased, err = r.erased(ctx, server); err != nil {
		return o, err
	}
	if o.Passport, err = r.passport(ctx, server); err != nil {
		return o, err
	}
	if err := r.workload(ctx, &o); err != nil {
		return o, err
	}
	if o.Account, err = r.accountView(ctx, server); err != nil {
		return o, err
	}
	o.Power, err = r.power(ctx, server, o.Inventory)
	return o, err
}

// newID is 16 random bytes in hexadecimal.
func (r *Reconciler) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// hardware is what the agent reported, and which of its disks other Servers show too.
func (r *Reconciler) hardware(ctx context.Context, o *lifecycle.Observation) error {
	name := o.Server.Name
	var inventory metal.ServerInventory
	err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &inventory)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ServerInventory %s: %w", name, err)
	}
	o.Inventory = &inventory.Spec
	var wwids []string
	for _, d := range inventory.Spec.Disks {
		if d.WWID != "" {
			wwids = append(wwids, d.WWID)
		}
	}
	o.Elsewhere, err = r.Disks.Elsewhere(ctx, name, wwids)
	return err
}

// erased is the id of the wipe that waits with its receipt, if its erase record is kept. Nobody else is asked about.
func (r *Reconciler) erased(ctx context.Context, server *metal.Server) (string, error) {
	record := server.Spec.Record
	if record == nil || record.Wipe == nil || record.Wipe.Receipt == nil || record.Wipe.VerifiedAt != nil {
		return "", nil
	}
	if kept, err := r.Eraser.Published(ctx, server.Name, record.Wipe.ID, record.Wipe.Receipt.Generation); err != nil || !kept {
		return "", err
	}
	return record.Wipe.ID, nil
}

// conflicts names the other Servers that evidence was seen to point to, as far as they still exist: deleting the wrong one ends the conflict.
func (r *Reconciler) conflicts(ctx context.Context, name string) []string {
	return slices.DeleteFunc(r.Sightings.Conflicts(name), func(other string) bool {
		var s metal.Server
		return apierrors.IsNotFound(r.Client.Get(ctx, types.NamespacedName{Name: other}, &s))
	})
}

// power is the latest reading of the BMC, or why there is none. A server of another installation is not talked to.
func (r *Reconciler) power(ctx context.Context, server *metal.Server, seen *metal.ServerInventorySpec) (lifecycle.PowerReading, error) {
	record := server.Spec.Record
	if server.Spec.BMC == nil || record.Foreign(r.Installation) {
		r.Plane.Forget(server.Name)
		return lifecycle.PowerReading{}, nil
	}
	target, missing, err := r.credentials(ctx, server.Spec.BMC)
	if err != nil {
		return lifecycle.PowerReading{}, err
	}
	if missing != "" {
		r.Plane.Forget(server.Name)
		return lifecycle.PowerReading{Reason: reasons.CredentialsMissing, Message: missing}, nil
	}
	if record != nil && record.BMCPin != nil && target.TLSFingerprint == "" {
		target.TLSFingerprint = record.BMCPin.SHA256
	}
	target.Firmware = firmware(server, seen)
	r.Plane.Ensure(server.Name, target)
	return r.Plane.Latest(server.Name), nil
}

// firmware is what an operator declared, else what the machine was last seen to boot with. Redfish leaves that to the BMC.
func firmware(server *metal.Server, seen *metal.ServerInventorySpec) metal.BootMode {
	switch {
	case server.Spec.BMC.Protocol == metal.BMCRedfish:
		return ""
	case server.Spec.BootMode != "" || seen == nil:
		return server.Spec.BootMode
	}
	return seen.Firmware.Mode
}

// credentials reads the Secret by name, straight from the API server. It says what is missing for people; err is for trouble with the API.
func (r *Reconciler) credentials(ctx context.Context, declared *metal.BMC) (BMC, string, error) {
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: metal.SystemNamespace, Name: declared.CredentialsSecret}, &secret)
	if apierrors.IsNotFound(err) {
		return BMC{}, "it does not exist", nil
	}
	if err != nil {
		return BMC{}, "", fmt.Errorf("reading BMC credentials %s: %w", declared.CredentialsSecret, err)
	}
	for _, key := range []string{corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey} {
		if len(secret.Data[key]) == 0 {
			return BMC{}, "the key " + key + " is absent or empty", nil
		}
	}
	return BMC{
		BMC:      *declared.DeepCopy(),
		Username: string(secret.Data[corev1.BasicAuthUsernameKey]),
		Password: bmc.NewSecret(string(secret.Data[corev1.BasicAuthPasswordKey])),
	}, "", nil
}
