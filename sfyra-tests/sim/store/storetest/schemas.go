package storetest

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

var schemas = []behaviour{
	{"a spec keeps its schema", specsKeepTheirSchema},
	{"a status keeps its schema", statusesKeepTheirSchema},
	{"classes, claims and environments keep theirs", othersKeepTheirs},
}

var long = strings.Repeat("x", 1025)

// good and bad changes: only the first are taken.
type row[T any] struct {
	what   string
	good   bool
	change func(*T)
}

func boot(id string) *metal.BootRecord {
	at := metav1.NewTime(odd)
	return &metal.BootRecord{ID: id, Phase: metal.BootBooting, StartedAt: at, At: at, Deadline: at}
}

var specRows = []row[metal.ServerSpec]{
	{"a BMC", true, func(s *metal.ServerSpec) { s.BMC = &metal.BMC{Endpoint: "a", CredentialsSecret: "b"} }},
	{"a BMC without an endpoint", false, func(s *metal.ServerSpec) { s.BMC = &metal.BMC{CredentialsSecret: "b"} }},
	{"an endpoint with a path", false, func(s *metal.ServerSpec) { s.BMC = &metal.BMC{Endpoint: "a/b", CredentialsSecret: "b"} }},
	{"virtual media", true, func(s *metal.ServerSpec) {
		s.BMC = &metal.BMC{Endpoint: "a", CredentialsSecret: "b", Protocol: metal.BMCRedfish, VirtualMediaURI: "http://a/b"}
	}},
	{"virtual media of IPMI", false, func(s *metal.ServerSpec) {
		s.BMC = &metal.BMC{Endpoint: "a", CredentialsSecret: "b", Protocol: metal.BMCIPMI, VirtualMediaURI: "http://a/b"}
	}},
	{"virtual media and a URI", false, func(s *metal.ServerSpec) {
		s.BMC = &metal.BMC{Endpoint: "a", CredentialsSecret: "b", VirtualMediaURI: "http://a/b", HTTPBootURI: "http://a/c"}
	}},
	{"a port out of range", false, func(s *metal.ServerSpec) { s.BMC = &metal.BMC{Endpoint: "a", CredentialsSecret: "b", Port: 70000} }},
	{"a MAC", true, func(s *metal.ServerSpec) { s.Identity = &metal.Identity{MACs: []string{"52:54:00:00:00:01"}} }},
	{"a MAC in capitals", false, func(s *metal.ServerSpec) { s.Identity = &metal.Identity{MACs: []string{"52:54:00:00:00:AA"}} }},
	{"a MAC twice", false, func(s *metal.ServerSpec) {
		s.Identity = &metal.Identity{MACs: []string{"52:54:00:00:00:01", "52:54:00:00:00:01"}}
	}},
	{"an empty identity", false, func(s *metal.ServerSpec) { s.Identity = &metal.Identity{} }},
	{"an empty location", true, func(s *metal.ServerSpec) { s.Location = &metal.Location{} }},
	{"a disk of no name", false, func(s *metal.ServerSpec) { s.IgnoredDisks = []metal.DiskSelector{{}} }},
	{"disks that are not removable", true, func(s *metal.ServerSpec) { s.IgnoredDisks = []metal.DiskSelector{{Removable: new(bool)}} }},
	{"a request with a bad id", false, func(s *metal.ServerSpec) {
		s.AcceptRequest = &metal.AcceptRequest{ID: "A", RequestedAt: metav1.NewTime(odd)}
	}},
	{"a request without a time", false, func(s *metal.ServerSpec) { s.AcceptRequest = &metal.AcceptRequest{ID: "a"} }},
	{"a request at an unknown level", false, func(s *metal.ServerSpec) {
		s.AcceptRequest = &metal.AcceptRequest{ID: "a", Level: "Hope", RequestedAt: metav1.NewTime(odd)}
	}},
	{"a boot", true, func(s *metal.ServerSpec) { s.Record = &metal.ServerRecord{Boot: boot("b")} }},
	{"a boot without a deadline", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Boot: boot("b")}
		s.Record.Boot.Deadline = metav1.Time{}
	}},
	{"a boot without a phase", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Boot: boot("b")}
		s.Record.Boot.Phase = ""
	}},
	{"a boot without an id, which is empty and so far good", true, func(s *metal.ServerSpec) { s.Record = &metal.ServerRecord{Boot: boot("")} }},
	{"a boot id of 64 letters", false, func(s *metal.ServerSpec) { s.Record = &metal.ServerRecord{Boot: boot(long[:64])} }},
	{"a boot id of 63 letters of two bytes", true, func(s *metal.ServerSpec) { s.Record = &metal.ServerRecord{Boot: boot(strings.Repeat("ä", 63))} }},
	{"a wipe of generation 0", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: metav1.NewTime(odd), BootID: "b"}}
	}},
	{"a wipe of a disk without a name", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: metav1.NewTime(odd), Generation: 1, Disks: make([]metal.DiskID, 1)}}
	}},
	{"a receipt", true, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: metav1.NewTime(odd), Generation: 1, Receipt: &metal.WipeReceipt{At: metav1.NewTime(odd)}}}
	}},
	{"a quarantine with a long message", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{Quarantine: &metal.QuarantineRecord{Message: long, At: metav1.NewTime(odd)}}
	}},
	{"a pin that is none", false, func(s *metal.ServerSpec) {
		s.Record = &metal.ServerRecord{BMCPin: &metal.BMCPin{SHA256: "ab", At: metav1.NewTime(odd)}}
	}},
	{"an empty record", true, func(s *metal.ServerSpec) { s.Record = &metal.ServerRecord{} }},
}

func specsKeepTheirSchema(w *world) {
	for i, r := range specRows {
		fresh, later := w.server("fresh"+strconv.Itoa(i)), w.server("later"+strconv.Itoa(i))
		w.create(later)
		r.change(&fresh.Spec)
		r.change(&later.Spec)
		w.judge(r.what+", created", r.good, w.Ingot.Create(w.Context(), fresh))
		w.judge(r.what+", updated", r.good, w.Ingot.Update(w.Context(), later))
	}
}

func (w *world) judge(what string, good bool, err error) {
	w.Helper()
	if good && err != nil {
		w.Errorf("%s: %v", what, err)
	}
	if !good {
		w.Log(what)
		w.refused(err, metav1.StatusReasonInvalid)
	}
}

var statusRows = []row[metal.ServerStatus]{
	{"a state", true, func(s *metal.ServerStatus) { s.State = metal.StateWiping }},
	{"a state that is none", false, func(s *metal.ServerStatus) { s.State = "Happy" }},
	{"power", true, func(s *metal.ServerStatus) { s.Power = &metal.PowerStatus{State: metal.PowerOff} }},
	{"power of no state", false, func(s *metal.ServerStatus) { s.Power = &metal.PowerStatus{} }},
	{"a condition", true, func(s *metal.ServerStatus) { s.Conditions = []metav1.Condition{condition("A", "m")} }},
	{"a condition twice", false, func(s *metal.ServerStatus) {
		s.Conditions = []metav1.Condition{condition("A", "m"), condition("B", "m"), condition("A", "n")}
	}},
	{"a condition without a reason", false, func(s *metal.ServerStatus) {
		s.Conditions = []metav1.Condition{condition("A", "m")}
		s.Conditions[0].Reason = ""
	}},
	{"a condition without a time", false, func(s *metal.ServerStatus) {
		s.Conditions = []metav1.Condition{condition("A", "m")}
		s.Conditions[0].LastTransitionTime = metav1.Time{}
	}},
	{"a long disk description", false, func(s *metal.ServerStatus) {
		s.Disks = []metal.DiskStatus{{DiskID: metal.DiskID{Serial: "s"}, Verdict: metal.DiskOwn, Description: long}}
	}},
	{"a disk without a verdict", false, func(s *metal.ServerStatus) { s.Disks = []metal.DiskStatus{{DiskID: metal.DiskID{Serial: "s"}}} }},
	{"four boots", false, func(s *metal.ServerStatus) { s.Boots = make([]metal.BootTimeline, 4) }},
	{"three boots", true, func(s *metal.ServerStatus) { s.Boots = make([]metal.BootTimeline, 3) }},
	{"a stage without a time", false, func(s *metal.ServerStatus) { s.Boots = []metal.BootTimeline{{Stages: make([]metal.BootStage, 1)}} }},
	{"an address twice", false, func(s *metal.ServerStatus) { s.Addresses = []string{"::1", "::1"} }},
}

func statusesKeepTheirSchema(w *world) {
	for i, r := range statusRows {
		s := w.server("s" + strconv.Itoa(i))
		w.create(s)
		r.change(&s.Status)
		w.judge(r.what, r.good, w.Ingot.Status().Update(w.Context(), s))
	}
}

func othersKeepTheirs(w *world) {
	two, one := int32(2), int32(1)
	big, small := resource.MustParse("2Gi"), resource.MustParse("1Gi")
	asset := &metal.Asset{URL: "http://h/a", SHA256: strings.Repeat("ab", 32)}
	yes := true
	for i, r := range []row[metal.ServerClassSpec]{
		{"a mesh with discovery", true, func(s *metal.ServerClassSpec) { s.Talos = &metal.TalosSettings{KubeSpan: &yes, Discovery: &yes} }},
		{"a mesh without discovery", false, func(s *metal.ServerClassSpec) { s.Talos = &metal.TalosSettings{KubeSpan: &yes, Discovery: new(bool)} }},
		{"a range", true, func(s *metal.ServerClassSpec) { s.Requirements.Cores = &metal.CountRange{Min: &one, Max: &two} }},
		{"a range upside down", false, func(s *metal.ServerClassSpec) { s.Requirements.Cores = &metal.CountRange{Min: &two, Max: &one} }},
		{"sizes upside down", false, func(s *metal.ServerClassSpec) {
			s.Requirements.Disks = []metal.DiskRequirement{{Size: &metal.QuantityRange{Min: &big, Max: &small}}}
		}},
		{"namespaces", true, func(s *metal.ServerClassSpec) { s.AllowedNamespaces = &metal.NamespaceSelection{All: true} }},
		{"namespaces in no way", false, func(s *metal.ServerClassSpec) { s.AllowedNamespaces = &metal.NamespaceSelection{} }},
		{"too much trust", false, func(s *metal.ServerClassSpec) { s.MinimumTrust = 5 }},
	} {
		c := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.name("c" + strconv.Itoa(i))}}
		r.change(&c.Spec)
		w.judge(r.what, r.good, w.Ingot.Create(w.Context(), c))
	}
	for i, r := range []row[metal.EnvironmentSpec]{
		{"nothing", false, func(*metal.EnvironmentSpec) {}},
		{"Talos", true, func(s *metal.EnvironmentSpec) { s.Talos = &metal.TalosSource{Version: "v1.13.0"} }},
		{"Talos of an id", true, func(s *metal.EnvironmentSpec) {
			s.Talos = &metal.TalosSource{Version: "v1.13.0", SchematicID: strings.Repeat("ab", 32), Boot: []metal.BootAssets{{Arch: "amd64", UKI: asset}}}
		}},
		{"Talos of files and no id", false, func(s *metal.EnvironmentSpec) {
			s.Talos = &metal.TalosSource{Version: "v1.13.0", Boot: []metal.BootAssets{{Arch: "amd64", UKI: asset}}}
		}},
		{"Talos of files for others", false, func(s *metal.EnvironmentSpec) {
			s.Talos = &metal.TalosSource{Version: "v1.13.0", SchematicID: strings.Repeat("ab", 32), Boot: []metal.BootAssets{{Arch: "amd64", UKI: asset}}, Architectures: []string{"amd64"}}
		}},
		{"Talos of a kernel alone", false, func(s *metal.EnvironmentSpec) {
			s.Talos = &metal.TalosSource{Version: "v1.13.0", SchematicID: strings.Repeat("ab", 32), Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset}}}
		}},
		{"a UKI", true, func(s *metal.EnvironmentSpec) { s.Boot = []metal.BootAssets{{Arch: "amd64", UKI: asset}} }},
		{"a kernel alone", false, func(s *metal.EnvironmentSpec) { s.Boot = []metal.BootAssets{{Arch: "amd64", Kernel: asset}} }},
		{"one architecture twice", false, func(s *metal.EnvironmentSpec) {
			s.Boot = []metal.BootAssets{{Arch: "amd64", UKI: asset}, {Arch: "amd64", UKI: asset}}
		}},
	} {
		e := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: w.name("e" + strconv.Itoa(i))}}
		r.change(&e.Spec)
		w.judge(r.what, r.good, w.Ingot.Create(w.Context(), e))
	}
	c := w.claim("c")
	c.Spec.ClassName = ""
	w.judge("a claim without a class", false, w.Ingot.Create(w.Context(), c))
}
