package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
)

// eraseRecord is `ingot erase-record`.
type eraseRecord struct {
	env       *Env
	output    string
	all       bool
	publicKey bool
}

func newEraseRecord(env *Env) *cobra.Command {
	e := &eraseRecord{env: env}
	cmd := &cobra.Command{
		Use:   "erase-record SERVER",
		Short: "Fetch the signed record of what was erased of a server, for an auditor",
		Long: "Fetch the signed record of what was erased of a server: each disk with its serial number, the method, the level that was\n" +
			"reached, and how much was read back. It is one JSON file, which `ingot verify-erase` checks on any machine, without Ingot.\n\n" +
			"Give the auditor the public key over another way than the records, or let them compare its fingerprint: --public-key.",
		Example: "  ingot erase-record rack1-07 -o rack1-07.json\n  ingot erase-record rack1-07 --all -o ./records\n" +
			"  ingot erase-record --public-key -o ingot.pem\n  ingot verify-erase rack1-07.json --key ingot.pem",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: env.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return e.run(cmd.Context(), cmd.CommandPath(), args) },
	}
	cmd.Flags().StringVarP(&e.output, "output", "o", "", "`file` to write to; with --all a folder (default: standard output)")
	cmd.Flags().BoolVar(&e.all, "all", false, "all records of the server that are kept, not only the latest")
	cmd.Flags().BoolVar(&e.publicKey, "public-key", false, "the public key of this installation, with its fingerprint, instead of a record")
	return cmd
}

func (e *eraseRecord) run(ctx context.Context, path string, args []string) error {
	if e.publicKey != (len(args) == 0) {
		return &ExitError{Code: CodeUsage, Err: fmt.Errorf("%s needs either SERVER or --public-key; see `%s --help`", path, path)}
	}
	c, err := e.env.Client()
	if err != nil {
		return err
	}
	if e.publicKey {
		return e.key(ctx, c)
	}
	name := trimKind(args[0])
	found, err := envelopes(ctx, c, name)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if _, err := e.env.server(ctx, c, name); err != nil {
			return err
		}
		return fmt.Errorf("there is no erase record of %s yet: it is written when a wipe was read back; see `ingot why %s`", name, name)
	}
	e.reused(ctx, c, name)
	if e.all {
		return e.writeAll(found)
	}
	return e.write(e.output, []byte(found[0].Data[erase.EnvelopeField]))
}

// reused tells an auditor that the server changed hands since its last record.
func (e *eraseRecord) reused(ctx context.Context, c client.Client, name string) {
	var s metal.Server
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil || s.Spec.Record == nil || s.Spec.Record.Claim == nil || s.Spec.Record.Claim.Reused == nil {
		return // it is gone, or was wiped; its records say the rest
	}
	side := s.Spec.Record.Claim
	fmt.Fprintf(e.env.Streams.ErrOut, "%s was reused, not wiped, when %s/%s got it from %s/%s: no record is newer than both\n", name, side.Namespace, side.Name, side.Reused.Namespace, side.Reused.Name)
}

// envelopes are the records of a server, the latest first.
func envelopes(ctx context.Context, c client.Client, server string) ([]corev1.ConfigMap, error) {
	list := &corev1.ConfigMapList{}
	if err := c.List(ctx, list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{erase.LabelServer: server}); err != nil {
		return nil, fmt.Errorf("reading the erase records of %s: %w", server, explain(err))
	}
	ours := slices.DeleteFunc(list.Items, func(m corev1.ConfigMap) bool { return m.Name != erase.Name(server, m.Labels[erase.LabelWipe]) })
	slices.SortFunc(ours, func(a, b corev1.ConfigMap) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return ours, nil
}

func (e *eraseRecord) key(ctx context.Context, c client.Client) error {
	m := &corev1.ConfigMap{}
	err := c.Get(ctx, client.ObjectKey{Namespace: metal.SystemNamespace, Name: erase.KeyName}, m)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the public key: %w", explain(err))
	}
	if err != nil {
		return errors.New("this installation has no key for erase records yet; its controllers make one when they start")
	}
	text := []byte(m.Data[erase.PublicKeyField])
	finger, err := erase.Fingerprint(text)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.env.Streams.ErrOut, "fingerprint (SHA-256): %s\n", finger)
	return e.write(e.output, text)
}

// write writes one file, or to standard output.
func (e *eraseRecord) write(path string, data []byte) error {
	data = append(bytes.TrimRight(data, "\n"), '\n')
	if path == "" {
		_, err := e.env.Streams.Out.Write(data)
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	fmt.Fprintf(e.env.Streams.ErrOut, "wrote %s\n", path)
	return nil
}

func (e *eraseRecord) writeAll(found []corev1.ConfigMap) error {
	if e.output != "" {
		if err := os.MkdirAll(e.output, 0o755); err != nil {
			return fmt.Errorf("making the folder %s: %w", e.output, err)
		}
	}
	for _, m := range found {
		path := e.output
		if path != "" {
			path = filepath.Join(path, m.Name+".json")
		}
		if err := e.write(path, []byte(m.Data[erase.EnvelopeField])); err != nil {
			return err
		}
	}
	return nil
}

func newVerifyErase(env *Env) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "verify-erase FILE",
		Short: "Check a signed erase record, without Ingot and without a network",
		Long: "Check a signed erase record, without Ingot and without a network. It exits with 0 when the signature is good and every disk\n" +
			"that was to be erased is. Without --key the record is checked with the key that came with it: that proves that nobody\n" +
			"changed it since, and not who made it. Compare the fingerprint with `ingot erase-record --public-key` of the installation then.",
		Example: "  ingot verify-erase rack1-07.json --key ingot.pem",
		Args:    usage(cobra.ExactArgs(1)),
		RunE:    func(_ *cobra.Command, args []string) error { return env.verifyErase(args[0], key) },
	}
	cmd.Flags().StringVar(&key, "key", "", "`file` with the public key of the installation, in PEM")
	return WithoutClientFlags(cmd)[0]
}

// maxFile bounds what is read of a file, in bytes; a record fits into a ConfigMap.
const maxFile = 2 << 20

func (e *Env) verifyErase(path, keyPath string) error {
	text, err := readFile(path, maxFile)
	if err != nil {
		return fmt.Errorf("reading the erase record: %w", err)
	}
	var key []byte
	if keyPath == "" {
		key, err = embeddedKey(text)
	} else {
		key, err = readFile(keyPath, maxFile)
	}
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	r, err := erase.Verify(text, key)
	if err != nil {
		return err
	}
	printErase(e.Streams.Out, r)
	return verdict(e.Streams.Out, r, keyPath != "")
}

// embeddedKey is the key that a record brings along. It proves nothing by itself; erase.Verify checks that it fits.
func embeddedKey(text []byte) ([]byte, error) {
	var envelope struct {
		Payload []byte `json:"payload"`
	}
	var record struct {
		Key erase.Key `json:"key"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return nil, fmt.Errorf("this is no erase record: %w", err)
	}
	if err := json.Unmarshal(envelope.Payload, &record); err != nil {
		return nil, fmt.Errorf("this is no erase record: %w", err)
	}
	return []byte(record.Key.PublicKey), nil
}

// verdict says what the record proves.
func verdict(out io.Writer, r erase.Record, trusted bool) error {
	var dirty []string
	for _, d := range r.Disks {
		if d.Verdict != erase.Erased {
			dirty = append(dirty, plain(d.Serial))
		}
	}
	if !r.Clean() {
		return fmt.Errorf("signature good, but not every disk is clean: %q", dirty)
	}
	fmt.Fprintf(out, "signature good, key fingerprint %s, every disk clean\n", r.Key.Fingerprint)
	if !trusted {
		fmt.Fprintln(out, "The key came with the record, so this proves who made it only if that fingerprint is the installation's:\n"+
			"compare it with `ingot erase-record --public-key` there, or give its key with --key.")
	}
	return nil
}
