package cli

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/redact"
)

// maxLog is how much of the end of a log file goes into a bundle, in bytes.
const maxLog = 256 << 10

func newSupport(env *Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "support",
		Short: "Write a file for those who help: versions, objects, conditions, events, and the ends of logs, without secrets",
		Long: "Write a file for those who help: versions, Ingot's objects with their conditions, events, what machines said last, and\n" +
			"the ends of the logs of `ingot up` when it runs here. Secrets are not read; machine configs, schematics, kernel arguments,\n" +
			"capabilities and whatever looks like a key, a token or a password are taken out. Names, addresses and serial numbers\n" +
			"stay: look at it before you send it.",
		Example: "  ingot support\n  ingot support -o ticket-4711.tar.gz",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.support(cmd.Context(), cmp.Or(output, "ingot-support-"+env.Now().UTC().Format("20060102-150405")+".tar.gz"))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this `file`; it must not exist")
	return cmd
}

// bundle is what goes into the file, by name.
type bundle map[string][]byte

func (e *Env) support(ctx context.Context, output string) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	b := bundle{}
	e.versions(b)
	if err := b.objects(ctx, c); err != nil {
		return err
	}
	if err := b.said(ctx, e, c); err != nil {
		return err
	}
	b.logs(filepath.Join(e.StateDir, "logs"), e.StateDir != "")
	if err := b.write(output, e.Now()); err != nil {
		return err
	}
	fmt.Fprintf(e.Streams.Out, "Wrote %s: %d files. Look at it before you send it: tar -tzf %s\n", output, len(b), output)
	return nil
}

// versions of this program and of the control plane; that one may not be asked is worth a line.
func (e *Env) versions(b bundle) {
	text := "ingot " + version.String() + "\n"
	d, err := e.config.ToDiscoveryClient()
	if err == nil {
		v, asked := d.ServerVersion()
		if err = asked; err == nil {
			text += "Kubernetes " + v.GitVersion + "\n"
		}
	}
	if err != nil {
		text += fmt.Sprintf("the control plane does not tell its version: %v\n", err)
	}
	b.add("versions.txt", []byte(text))
}

// add takes a text in, line by line through the redactor.
func (b bundle) add(name string, text []byte) {
	var out bytes.Buffer
	var r redact.Redactor
	for line := range bytes.Lines(text) {
		// The redactor makes one line of what it gets, and knows no tabs.
		indent := len(line) - len(bytes.TrimLeft(line, " "))
		out.WriteString(strings.Repeat(" ", indent) + r.Line(string(bytes.TrimSpace(line))) + "\n")
	}
	b[name] = out.Bytes()
}

// objects are all of Ingot's, and the events about them.
func (b bundle) objects(ctx context.Context, c client.Client) error {
	for name, list := range map[string]client.ObjectList{
		"servers": &metal.ServerList{}, "inventories": &metal.ServerInventoryList{}, "classes": &metal.ServerClassList{}, "claims": &metal.ServerClaimList{},
		"environments": &metal.EnvironmentList{}, "ingotclusters": &infra.IngotClusterList{}, "ingotmachines": &infra.IngotMachineList{},
	} {
		if err := c.List(ctx, list); err != nil {
			b.add(name+".error", []byte(explain(err).Error())) // a tenant may list some of them
			continue
		}
		text, err := plainYAML(list)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		b.add(name+".yaml", text)
	}
	var events corev1.EventList
	if err := c.List(ctx, &events); err != nil {
		b.add("events.error", []byte(explain(err).Error()))
		return nil
	}
	slices.SortStableFunc(events.Items, func(x, y corev1.Event) int { return eventEntry(&x).at.Compare(eventEntry(&y).at) })
	var text strings.Builder
	for i := range events.Items {
		o := events.Items[i].InvolvedObject
		if strings.HasPrefix(o.APIVersion, metal.GroupVersion.Group) || strings.HasPrefix(o.APIVersion, infra.GroupVersion.Group) || o.Kind == "Namespace" && o.Name == metal.SystemNamespace {
			line := eventEntry(&events.Items[i])
			fmt.Fprintf(&text, "%s %s %s/%s %s\n", line.at.UTC().Format(time.RFC3339), o.Kind, o.Namespace, o.Name, line.text)
		}
	}
	b.add("events.txt", []byte(text.String()))
	return nil
}

// withheld are fields whose values are, or may hold, parts of a machine config, whatever their form.
var withheld = []string{"patches", "schematic", "args", "annotations", "managedFields"}

// plainYAML is a list without what is withheld.
func plainYAML(list client.ObjectList) ([]byte, error) {
	text, err := yaml.Marshal(list)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	withhold(tree)
	return yaml.Marshal(tree)
}

func withhold(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if slices.Contains(withheld, key) {
				v[key] = "[redacted]"
				continue
			}
			withhold(value)
		}
	case []any:
		for _, item := range v {
			withhold(item)
		}
	}
}

// said is what machines said last, as `ingot logs` shows it.
func (b bundle) said(ctx context.Context, e *Env, c client.Client) error {
	var servers metal.ServerList
	if err := c.List(ctx, &servers); err != nil {
		return nil // its error is in the bundle
	}
	for i := range servers.Items {
		name := servers.Items[i].Name
		var text strings.Builder
		for _, l := range e.said(ctx, c, name).lines {
			fmt.Fprintf(&text, "%s %s %s\n", l.At.UTC().Format(time.RFC3339), l.Source, l.Text)
		}
		if text.Len() > 0 {
			b.add("said/"+name+".txt", []byte(text.String()))
		}
	}
	return nil
}

// logs are the ends of the log files of `ingot up`, where they can be read.
func (b bundle) logs(dir string, here bool) {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || !here {
		return
	}
	for _, name := range files {
		text, err := tail(name)
		if err != nil {
			text = []byte(err.Error())
		}
		b.add("logs/"+filepath.Base(name), text)
	}
}

// tail is the end of a file, from the beginning of a line on.
func tail(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-maxLog)
	text, err := io.ReadAll(io.NewSectionReader(f, from, maxLog))
	if from > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text, err
}

// write writes a tar file that only its owner may read.
func (b bundle) write(output string, at time.Time) (err error) {
	f, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the file for support: %w; choose another name with -o", err)
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if err := t.WriteHeader(&tar.Header{Name: "ingot-support/" + name, Mode: 0o600, Size: int64(len(b[name])), ModTime: at}); err != nil {
			return err
		}
		if _, err := t.Write(b[name]); err != nil {
			return err
		}
	}
	return cmp.Or(t.Close(), z.Close())
}
