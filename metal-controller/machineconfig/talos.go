package machineconfig

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Facts are what Ingot knows of the machine that a config is for.
type Facts struct {
	Class  *metal.ServerClass
	Claim  *metal.ServerClaim
	Server *metal.Server
	// Inventory of the server. It is needed where class or claim choose an install disk for Talos.
	Inventory *metal.ServerInventorySpec
	// Talos says that the machine boots Talos, whatever its config looks like.
	Talos bool
	// Installer is the reference of the image that installs Talos; empty leaves the config's.
	Installer string
	// Callback of systems that are not Talos.
	Callback Callback
	// Events (HOST:PORT) and KernelLog (tcp://HOST:PORT) are where a Talos tells how it fares; an empty one is left out.
	Events, KernelLog string
}

// Make makes the config of a server: the base, for Talos with what Ingot adds, then the patches of class, claim and Server, and for other systems the Callback.
// What people say in a patch wins over what Ingot adds.
func Make(base []byte, f Facts) (Result, error) {
	patches := Patches(f.Class, f.Claim, f.Server)
	if !f.Talos && !IsTalos(base) {
		callback, err := f.Callback.Patch()
		if err != nil {
			return Result{}, err
		}
		return Build(base, append(patches, callback))
	}
	added, err := f.additions(base, patches)
	if err != nil {
		return Result{}, err
	}
	r, err := Build(base, append(added, patches...))
	if err == nil && !slices.ContainsFunc(r.documents, func(d *yaml.Node) bool { return identityOf(d) == identity{} }) {
		return Result{}, fmt.Errorf("the machine config has no document with `version: %s`, so Talos would wait for a person instead of installing itself", talosVersion)
	}
	r.talos = true
	return r, err
}

// talosVersion is what the document of Talos without a kind says of itself.
const talosVersion = "v1alpha1"

// IsTalos says that a config is one of Talos: it has a document without a kind that says `version: v1alpha1`.
func IsTalos(base []byte) bool {
	documents, err := parse(base)
	return err == nil && slices.ContainsFunc(documents, func(d *yaml.Node) bool {
		return identityOf(d) == identity{} && scalar(d, "version") == talosVersion
	})
}

// Talos says that the config is one of Talos.
func (r Result) Talos() bool { return r.talos }

// Kinds of Talos' documents that say the same as a part of the one without a kind. Both together are refused by Talos.
const (
	hostnameKind = "HostnameConfig"
	kubeSpanKind = "KubeSpanConfig"
)

// Kinds of Talos' documents that say where it tells how it fares. There is one of the first; of the second, one for each name.
const (
	eventSinkKind = "EventSinkConfig"
	kmsgLogKind   = "KmsgLogConfig"
	kmsgLogName   = "ingot"
)

// additions are the patches of Ingot itself, to be applied before all others. A base or patch that cannot be read is left to Build.
func (f Facts) additions(base []byte, patches []Patch) ([]Patch, error) {
	said, _ := parse(base)
	wishes := parsePatches(patches)
	a := adder{base: said, wishes: wishes}
	if err := f.installDisk(&a); err != nil {
		return nil, err
	}
	if f.Installer != "" {
		a.v1alpha1("the Environment's installer", f.Installer, "machine", "install", "image")
	}
	f.hostname(&a)
	for _, key := range slices.Sorted(maps.Keys(f.labels())) {
		a.v1alpha1("the server's place and class", f.labels()[key], "machine", "nodeLabels", key)
	}
	a.v1alpha1("the server's providerID", ProviderID(f.Server.Name), "machine", "kubelet", "extraArgs", "provider-id")
	f.switches(&a)
	f.signals(&a)
	return a.patches, a.err
}

func parsePatches(patches []Patch) (all []*yaml.Node) {
	for _, p := range patches {
		documents, _ := parse([]byte(p.YAML))
		all = append(all, documents...)
	}
	return all
}

// installDisk adds the disk that class or claim choose, unless a patch names one: Talos would prefer the selector to the patch's `disk`.
func (f Facts) installDisk(a *adder) error {
	choice, from := f.Class.Spec.InstallDisk, "class "+f.Class.Name
	if f.Claim.Spec.InstallDisk != nil {
		choice, from = f.Claim.Spec.InstallDisk, "claim "+f.Claim.Namespace+"/"+f.Claim.Name
	}
	if choice == nil || says(a.wishes, "machine", "install", "disk") || says(a.wishes, "machine", "install", "diskSelector") {
		return nil
	}
	selector, err := chooseDisk(choice, f.Server, f.Inventory)
	if err != nil {
		return fmt.Errorf("installDisk of %s: %w", from, err)
	}
	selector[directive] = replace
	a.add("installDisk of "+from, map[string]any{"machine": map[string]any{"install": map[string]any{
		"disk": map[string]any{directive: remove}, "diskSelector": selector,
		"wipe": true, // the disk is clean, but for what an installation left that was cut off: Talos would refuse to install over that
	}}})
	return nil
}

// hostname adds the machine's name in the form that the config has already, unless a patch names it.
func (f Facts) hostname(a *adder) {
	source, name := metal.HostnameSource(""), f.Server.Name
	if t := f.Class.Spec.Talos; t != nil {
		source = t.Hostname
	}
	if source == metal.HostnameKeep || has(a.wishes, hostnameKind) || says(a.wishes, "machine", "network", "hostname") {
		return
	}
	document := find(a.base, identity{apiVersion: talosVersion, kind: hostnameKind})
	fixed := says(a.base, "machine", "network", "hostname") || document != nil && scalar(document, "hostname") != ""
	if source == "" && fixed {
		return
	}
	from := "the server's name"
	if source == metal.HostnameClaim {
		name, from = f.Claim.Name, "the claim's name"
	}
	if document == nil {
		a.v1alpha1(from, name, "machine", "network", "hostname")
		return
	}
	a.add(from, map[string]any{"apiVersion": talosVersion, "kind": hostnameKind, "hostname": name, "auto": map[string]any{directive: remove}})
}

// labelValue is what Kubernetes takes as the value of a label.
var labelValue = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// notInLabels are the characters that such a value does not have.
var notInLabels = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// labels of the node. A value that no label can have is left out; blanks and the like in it become hyphens.
func (f Facts) labels() map[string]string {
	all := map[string]string{"server": f.Server.Name, "class": f.Class.Name}
	if l := f.Server.Spec.Location; l != nil {
		all["site"], all["rack"] = l.Site, l.Rack
		if l.Unit > 0 {
			all["unit"] = strconv.Itoa(int(l.Unit))
		}
	}
	labels := map[string]string{}
	for k, v := range all {
		if v = strings.Trim(notInLabels.ReplaceAllString(v, "-"), "-._"); labelValue.MatchString(v) {
			labels["metal.ingot.dev/"+k] = v
		}
	}
	return labels
}

// switches adds what the class switches on or off.
func (f Facts) switches(a *adder) {
	t := f.Class.Spec.Talos
	if t == nil {
		return
	}
	of := func(field string) string { return "talos." + field + " of class " + f.Class.Name }
	switch {
	case t.KubeSpan == nil:
	case has(a.base, kubeSpanKind) || has(a.wishes, kubeSpanKind):
		a.add(of("kubeSpan"), map[string]any{"apiVersion": talosVersion, "kind": kubeSpanKind, "enabled": *t.KubeSpan})
	default:
		a.v1alpha1(of("kubeSpan"), *t.KubeSpan, "machine", "network", "kubespan", "enabled")
	}
	if t.KubePrism != nil {
		a.v1alpha1(of("kubePrism"), *t.KubePrism, "machine", "features", "kubePrism", "enabled")
	}
	if t.Discovery != nil {
		a.v1alpha1(of("discovery"), *t.Discovery, "cluster", "discovery", "enabled")
	}
}

// signals lets the installed system tell how it fares. Whoever has a document of these kinds sends that elsewhere on purpose; Talos has one sink for events.
func (f Facts) signals(a *adder) {
	add := func(kind, from string, document map[string]any) {
		if has(a.base, kind) || has(a.wishes, kind) {
			return
		}
		document["apiVersion"], document["kind"] = talosVersion, kind
		a.add(from, document)
	}
	if f.Events != "" {
		add(eventSinkKind, "Ingot's port for events", map[string]any{"endpoint": f.Events})
	}
	if f.KernelLog != "" {
		add(kmsgLogKind, "Ingot's port for kernel logs", map[string]any{"name": kmsgLogName, "url": f.KernelLog})
	}
}

// adder collects the patches of Ingot itself.
type adder struct {
	base, wishes []*yaml.Node
	patches      []Patch
	err          error
}

// v1alpha1 sets one value of the document without a kind.
func (a *adder) v1alpha1(from string, v any, path ...string) {
	for _, key := range slices.Backward(path) {
		v = map[string]any{key: v}
	}
	a.add(from, v)
}

func (a *adder) add(from string, document any) {
	text, err := yaml.Marshal(document)
	if err != nil {
		a.err = fmt.Errorf("writing a patch for %s: %w", from, err)
		return
	}
	a.patches = append(a.patches, Patch{Origin: OriginIngot + ", " + from, YAML: string(text)})
}

// says that a document without a kind has a value at the path.
func says(documents []*yaml.Node, path ...string) bool {
	return slices.ContainsFunc(documents, func(d *yaml.Node) bool {
		if d.Kind != yaml.MappingNode || identityOf(d) != (identity{}) {
			return false
		}
		for _, key := range path {
			if d = value(d, key); d == nil {
				return false
			}
		}
		return !null(d) && (d.Kind != yaml.ScalarNode || d.Value != "")
	})
}

// has says that there is a document of the kind.
func has(documents []*yaml.Node, kind string) bool {
	return slices.ContainsFunc(documents, func(d *yaml.Node) bool { return scalar(d, "kind") == kind })
}

func find(documents []*yaml.Node, id identity) *yaml.Node {
	if i := slices.IndexFunc(documents, func(d *yaml.Node) bool { return identityOf(d) == id }); i >= 0 {
		return documents[i]
	}
	return nil
}
