package storetest

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func (w *world) names(opts ...client.ListOption) []string {
	w.Helper()
	var l corev1.ConfigMapList
	w.ok(w.Ingot.List(w.Context(), &l, append(opts, client.HasLabels{"app"})...))
	var names []string
	for _, m := range l.Items {
		if slices.Contains(w.Namespaces[:], m.Namespace) {
			names = append(names, m.Namespace+"/"+m.Name)
		}
	}
	return names
}

var lists = []behaviour{
	{"lists are of a namespace, of labels, of a name, and sorted", func(w *world) {
		a, b := w.Namespaces[0], w.Namespaces[1]
		for _, name := range []string{"z", "m-1", "m"} {
			w.create(w.configMap(a, name), w.configMap(b, name))
		}
		in := client.InNamespace(a)
		for what, c := range map[string]struct{ got, want []string }{
			"namespace":      {w.names(in), []string{a + "/m", a + "/m-1", a + "/z"}},
			"label":          {w.names(in, client.MatchingLabels{"app": "z"}), []string{a + "/z"}},
			"no such label":  {w.names(in, client.MatchingLabels{"app": "y"}), nil},
			"name":           {w.names(in, client.MatchingFields{"metadata.name": "m"}), []string{a + "/m"}},
			"all namespaces": {w.names(client.MatchingLabels{"app": "m"}), sorted(a+"/m", b+"/m")},
		} {
			if !slices.Equal(c.got, c.want) {
				w.Errorf("%s: %v, want %v", what, c.got, c.want)
			}
		}
		var l metal.ServerList
		w.refused(w.Ingot.List(w.Context(), &l, client.MatchingFields{"spec.accepted": "true"}), metav1.StatusReasonBadRequest)
	}},
	{"pages are of one state", pagesAreOfOneState},
	{"a list says what version it is of", func(w *world) {
		s := w.server("a")
		w.create(s)
		var l metal.ServerList
		w.ok(w.Ingot.List(w.Context(), &l, client.MatchingLabels{"test": w.Namespaces[0]}))
		listed, err1 := strconv.ParseInt(l.ResourceVersion, 10, 64)
		own, err2 := strconv.ParseInt(s.ResourceVersion, 10, 64)
		if err1 != nil || err2 != nil || listed < own || len(l.Items) != 1 || l.Items[0].ResourceVersion != s.ResourceVersion || l.Items[0].UID != s.UID {
			w.Errorf("list %s with %d items, server %s", l.ResourceVersion, len(l.Items), s.ResourceVersion)
		}
	}},
	{"what was read is the reader's own", func(w *world) {
		s := w.server("a")
		s.Spec.Location = &metal.Location{Site: "x"}
		w.create(s)
		s.Spec.Location.Site, s.Labels["test"] = "changed", "changed"
		got := reload(w, s)
		got.Spec.Location.Site = "changed"
		var l metal.ServerList
		w.ok(w.Ingot.List(w.Context(), &l, client.MatchingLabels{"test": w.Namespaces[0]}))
		if len(l.Items) != 1 || l.Items[0].Spec.Location.Site != "x" {
			w.Fatalf("items %+v", l.Items)
		}
		l.Items[0].Spec.Location.Site = "changed"
		if again := reload(w, s); again.Spec.Location.Site != "x" || again.Labels["test"] != w.Namespaces[0] {
			w.Errorf("stored %+v", again.Spec.Location)
		}
	}},
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}

func pagesAreOfOneState(w *world) {
	for i := range 5 {
		w.create(w.configMap(w.Namespaces[0], "p"+strconv.Itoa(i)))
	}
	in := client.InNamespace(w.Namespaces[0])
	var l corev1.ConfigMapList
	// kube-root-ca.crt is the one that a real namespace has of itself; it comes first.
	w.ok(w.Ingot.List(w.Context(), &l, in, client.HasLabels{"app"}, client.Limit(2)))
	got, version := []string{l.Items[0].Name, l.Items[1].Name}, l.ResourceVersion
	w.ok(w.Ingot.Delete(w.Context(), w.configMap(w.Namespaces[0], "p2")))
	w.create(w.configMap(w.Namespaces[0], "p5"))
	for l.Continue != "" {
		w.ok(w.Ingot.List(w.Context(), &l, in, client.HasLabels{"app"}, client.Limit(2), client.Continue(l.Continue)))
		for _, m := range l.Items {
			got = append(got, m.Name)
		}
		if l.ResourceVersion != version {
			w.Errorf("a page of version %s after %s", l.ResourceVersion, version)
		}
	}
	if want := []string{"p0", "p1", "p2", "p3", "p4"}; !slices.Equal(got, want) {
		w.Errorf("pages have %v, want %v", got, want)
	}
	w.refused(w.Ingot.List(w.Context(), &l, in, client.Limit(2), client.Continue("nonsense")), metav1.StatusReasonBadRequest)
}
