package lab

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
)

func TestParseFaults(t *testing.T) {
	for words, want := range map[string]faults{
		"":                               {},
		"rack1-01=dead":                  {"rack1-01": {"dead"}},
		"s1=dead,s2=lying":               {"rack1-01": {"dead"}, "rack1-02": {"lying"}},
		"s1=slow,rack1-01=lying,s1=slow": {"rack1-01": {"slow", "lying"}},
		"s1=slow,s1=none":                {"rack1-01": nil},
	} {
		got, err := parseFaults(strings.FieldsFunc(words, func(r rune) bool { return r == ',' }), 3)
		if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q: %v, %v; want %v", words, got, err, want)
		}
	}
}

// TestBadFaults: what cannot be meant is told with what can, and ends the command with the code of wrong usage before anything is started.
func TestBadFaults(t *testing.T) {
	for words, want := range map[string]string{
		"rack1-01":       "SERVER=KIND, for instance rack1-01=dead; the kinds are dead, slow, lying, inverted, expiring, full, credentials, certificate, garbage, or none",
		"s1=":            "there are dead, slow, lying, inverted, expiring, full, credentials, certificate, garbage, or none",
		"s1=ded":         `no fault "ded"; there are dead, slow`,
		"s4=dead":        "no such server; the lab has rack1-01 to rack1-03 (s1 to s3)",
		"rack1-1=dead":   "no such server",
		"=dead":          "no such server",
		"s1=dead,s2=bad": `no fault "bad"`,
	} {
		cmd := Command(&cli.Env{})
		cmd.SetArgs([]string{"--faults", words})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		exit := &cli.ExitError{}
		if err := cmd.Execute(); !errors.As(err, &exit) || exit.Code != cli.CodeUsage || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--faults") {
			t.Errorf("--faults %s: %v", words, err)
		}
	}
}

// TestHelpExplainsFaults: a line for each kind, that fits a narrow terminal, in both commands.
func TestHelpExplainsFaults(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"faults", "--help"}} {
		cmd := Command(&cli.Env{})
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		for _, k := range fakebmc.Kinds() {
			if !strings.Contains(out.String(), k.Name) || !strings.Contains(out.String(), k.Effect) {
				t.Errorf("%v does not explain %s", args, k.Name)
			}
		}
	}
	for l := range strings.Lines(faultHelp()) {
		if len(l) > 90 {
			t.Errorf("%q is too long", l)
		}
	}
}

func TestCompleteFaults(t *testing.T) {
	server, kind := cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace, cobra.ShellCompDirectiveNoFileComp
	for typed, c := range map[string]struct {
		want      []string
		directive cobra.ShellCompDirective
	}{
		"":                  {[]string{"rack1-01=", "rack1-02="}, server},
		"rack1-02":          {[]string{"rack1-02="}, server},
		"other":             {nil, server},
		"rack1-01=de":       {[]string{"rack1-01=dead"}, kind},
		"s1=ce":             {[]string{"s1=certificate"}, kind},
		"s1=n":              {[]string{"s1=none"}, kind},
		"s1=dead,":          {[]string{"s1=dead,rack1-01=", "s1=dead,rack1-02="}, server},
		"s1=dead,rack1-02=": {nil, kind},
	} {
		got, directive := completeFaults(typed, 2)
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], "\t")
		}
		if strings.HasSuffix(typed, "=") {
			if len(got) != len(fakebmc.Kinds())+1 || got[0] != typed+"dead" {
				t.Errorf("%q: %v", typed, got)
			}
			continue
		}
		if !slices.Equal(got, c.want) || directive != c.directive {
			t.Errorf("%q: %v, %d; want %v, %d", typed, got, directive, c.want, c.directive)
		}
	}
	out := complete(t, "--servers", "2", "--faults", "rack1-02=l")
	if !strings.Contains(out, "rack1-02=lying\tacknowledges power and boot orders") {
		t.Errorf("the flag completes to %s", out)
	}
	if out := complete(t, "faults", "s2=g"); !strings.Contains(out, "s2=garbage") {
		t.Errorf("the command completes to %s", out)
	}
}

// complete asks as a shell does.
func complete(t *testing.T, args ...string) string {
	t.Helper()
	cmd := Command(&cli.Env{})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{cobra.ShellCompRequestCmd}, args...))
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestObey: the annotation of a Server is what its BMC does, each change is told once, and a word that is none changes nothing.
func TestObey(t *testing.T) {
	b := &bmc{name: "rack1-01", faults: &fakebmc.Faults{}}
	var told []string
	say := func(line string) { told = append(told, line) }
	want := func(annotation string, fault fakebmc.Fault, lines ...string) {
		t.Helper()
		told = nil
		for range 2 { // a watch tells of every change of the Server
			b.obey(annotation, say)
		}
		if got := b.faults.Get(); got != fault {
			t.Errorf("%q: it does %+v, want %+v", annotation, got, fault)
		}
		if len(told) != len(lines) {
			t.Fatalf("%q: told %q", annotation, told)
		}
		for i := range lines {
			if !strings.Contains(told[i], lines[i]) {
				t.Errorf("%q: told %q, want %q", annotation, told[i], lines[i])
			}
		}
	}
	want("", fakebmc.Fault{})
	want("dead", fakebmc.Fault{Dead: true}, "rack1-01   dead         its BMC takes connections")
	want("deaf", fakebmc.Fault{Dead: true}, `is no fault: there is no fault "deaf"; there are dead`)
	want("inverted,lying", fakebmc.Fault{Inverted: true, IgnorePower: true, IgnoreBoot: true}, "lying", "inverted")
	want("", fakebmc.Fault{}, "does as it is told again")
}

func TestFaultIntro(t *testing.T) {
	bmcs := []*bmc{{name: "rack1-01", faults: &fakebmc.Faults{}}, {name: "rack1-02", faults: &fakebmc.Faults{}}}
	if got := faultIntro("ingot", "/k", bmcs); got != "" {
		t.Errorf("without faults it says %q", got)
	}
	if err := bmcs[1].misbehave([]string{"lying"}); err != nil {
		t.Fatal(err)
	}
	got := faultIntro("ingot", "/k", bmcs)
	for _, want := range []string{"rack1-02   lying        its BMC acknowledges", "ingot why rack1-02", "KUBECONFIG=/k", "ingot lab faults rack1-02=none"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
}

// TestSwitchFaults: the command writes what a lab obeys, shows it, and says which server is not there.
func TestSwitchFaults(t *testing.T) {
	one, two := &metal.Server{}, &metal.Server{}
	one.Name, two.Name = "rack1-01", "rack1-02"
	annotate(two, []string{"full"})
	c := fake.NewClientBuilder().WithScheme(cli.Scheme()).WithObjects(one, two).Build()
	var out bytes.Buffer
	env := &cli.Env{Streams: genericiooptions.IOStreams{Out: &out}}
	wanted := faults{"rack1-01": {"slow", "lying"}, "rack1-02": nil, "rack1-03": {"dead"}}
	if err := switchFaults(t.Context(), c, env, wanted); err == nil || !strings.Contains(err.Error(), "rack1-03") {
		t.Errorf("a server that is not there: %v", err)
	}
	if err := showFaults(t.Context(), c, env); err != nil {
		t.Fatal(err)
	}
	const shown = "server/rack1-01: slow, lying\nserver/rack1-02: none\nrack1-01: slow, lying\nrack1-02: none\n"
	if out.String() != shown {
		t.Errorf("it says\n%s", out.String())
	}
	b := &bmc{name: "rack1-01", faults: &fakebmc.Faults{}}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(one), one); err != nil {
		t.Fatal(err)
	}
	b.obey(one.Annotations[faultsAnnotation], func(string) {})
	if got := b.faults.Get(); !got.IgnorePower || got.Latency == 0 {
		t.Errorf("the BMC does %+v", got)
	}
}
