package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// template is a kind that random operations are done on, with the changes that are made to it, good and bad.
type template struct {
	name    string
	status  bool
	make    func(b Backend, n int) client.Object
	list    func() client.ObjectList
	changes []func(client.Object, *rand.Rand)
}

var templates = []template{
	{"Server", true, func(b Backend, n int) client.Object {
		return &metal.Server{ObjectMeta: meta(b, "", n)}
	}, func() client.ObjectList { return &metal.ServerList{} }, append(on(serverChanges), metaChanges...)},
	{"ServerClaim", true, func(b Backend, n int) client.Object {
		return &metal.ServerClaim{ObjectMeta: meta(b, b.Namespaces[0], n), Spec: metal.ServerClaimSpec{ClassName: "small"}}
	}, func() client.ObjectList { return &metal.ServerClaimList{} }, append(on(claimChanges), metaChanges...)},
	{"ServerInventory", false, func(b Backend, n int) client.Object {
		return &metal.ServerInventory{ObjectMeta: meta(b, "", n)}
	}, func() client.ObjectList { return &metal.ServerInventoryList{} }, append(on(inventoryChanges), metaChanges...)},
	{"ConfigMap", false, func(b Backend, n int) client.Object {
		return &corev1.ConfigMap{ObjectMeta: meta(b, b.Namespaces[0], n)}
	}, func() client.ObjectList { return &corev1.ConfigMapList{} }, append(on(configMapChanges), metaChanges...)},
	{"Secret", false, func(b Backend, n int) client.Object {
		return &corev1.Secret{ObjectMeta: meta(b, b.Namespaces[0], n)}
	}, func() client.ObjectList { return &corev1.SecretList{} }, append(on(secretChanges), metaChanges...)},
}

func meta(b Backend, namespace string, n int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-r%d", b.Namespaces[0], n), Labels: map[string]string{"test-" + b.Namespaces[0]: "x"}}
}

// on makes changes of one type changes of any object.
func on[T any](typed []func(*T, *rand.Rand)) []func(client.Object, *rand.Rand) {
	var all []func(client.Object, *rand.Rand)
	for _, f := range typed {
		all = append(all, func(o client.Object, dice *rand.Rand) {
			if o, ok := any(o).(*T); ok {
				f(o, dice)
			}
		})
	}
	return all
}

// runtimeZero empties an object.
func runtimeZero(o client.Object) { reflect.ValueOf(o).Elem().SetZero() }

var metaChanges = []func(client.Object, *rand.Rand){
	func(o client.Object, d *rand.Rand) {
		o.SetFinalizers([]string{finalizer, finalizer + "2", finalizer + "3"}[:d.IntN(4)])
	},
	func(o client.Object, _ *rand.Rand) { o.SetFinalizers(nil) },
	func(o client.Object, _ *rand.Rand) { o.SetFinalizers([]string{}) },
	func(o client.Object, d *rand.Rand) { set(o.GetLabels(), o.SetLabels, d) },
	func(o client.Object, d *rand.Rand) { set(o.GetAnnotations(), o.SetAnnotations, d) },
	func(o client.Object, _ *rand.Rand) {
		o.SetAnnotations(map[string]string{"metal.ingot.dev/lock": "used"})
	},
	func(o client.Object, _ *rand.Rand) { o.SetAnnotations(nil) },
	func(o client.Object, _ *rand.Rand) { o.SetLabels(map[string]string{"bad label": "x"}) },
	func(o client.Object, _ *rand.Rand) {
		if o.GetGeneration() > 0 { // built-in kinds would keep it
			o.SetGeneration(77)
		}
	},
	func(o client.Object, _ *rand.Rand) { o.SetFinalizers([]string{"unqualified name"}) },
	func(o client.Object, _ *rand.Rand) {},
}

func set(m map[string]string, to func(map[string]string), d *rand.Rand) {
	changed := map[string]string{}
	for k, v := range m {
		changed[k] = v
	}
	if d.IntN(2) == 0 {
		changed[fmt.Sprint("k", d.IntN(3))] = fmt.Sprint("v", d.IntN(3))
	} else {
		delete(changed, fmt.Sprint("k", d.IntN(3)))
	}
	to(changed)
}

func at(d *rand.Rand) metav1.Time {
	if d.IntN(8) == 0 {
		return metav1.Time{}
	}
	return metav1.NewTime(odd.Add(time.Duration(d.IntN(4)) * 400 * time.Millisecond))
}

func id(d *rand.Rand) string { return []string{"a", "b", "Bad id"}[d.IntN(9)/4] }

func record(s *metal.Server) *metal.ServerRecord {
	if s.Spec.Record == nil {
		s.Spec.Record = &metal.ServerRecord{}
	}
	return s.Spec.Record
}

var serverChanges = []func(*metal.Server, *rand.Rand){
	func(s *metal.Server, d *rand.Rand) { s.Spec = specRow(d, s.Spec) },
	func(s *metal.Server, d *rand.Rand) { s.Spec = specRow(d, s.Spec) },
	func(s *metal.Server, d *rand.Rand) { statusRows[d.IntN(len(statusRows))].change(&s.Status) },
	func(s *metal.Server, d *rand.Rand) { statusRows[d.IntN(len(statusRows))].change(&s.Status) },
	func(s *metal.Server, d *rand.Rand) { s.Spec.Accepted, s.Spec.Cordoned = d.IntN(2) == 0, d.IntN(2) == 0 },
	func(s *metal.Server, d *rand.Rand) { s.Spec.Patches = []string{"a", "b"}[:d.IntN(3)] },
	func(s *metal.Server, d *rand.Rand) {
		s.Spec.PowerRequest = &metal.PowerRequest{ID: id(d), Action: metal.PowerActionOn, RequestedAt: at(d)}
	},
	func(s *metal.Server, d *rand.Rand) {
		s.Spec.AcceptRequest = &metal.AcceptRequest{ID: id(d), RequestedAt: at(d), WipeData: []metal.DiskID{{WWID: "w"}, {Serial: "s"}}[:d.IntN(3)]}
	},
	func(s *metal.Server, d *rand.Rand) { s.Spec.AcceptRequest = nil },
	func(s *metal.Server, d *rand.Rand) {
		record(s).Boot = boot(id(d))
		s.Spec.Record.Boot.At = at(d)
		s.Spec.Record.Boot.Attempt = int32(d.IntN(3))
	},
	func(s *metal.Server, d *rand.Rand) {
		record(s).Wipe = &metal.WipeRecord{ID: id(d), Level: metal.WipeClear, GrantedAt: at(d), Generation: int64(1 + d.IntN(2)), VerifiedAt: &metav1.Time{}}
	},
	func(s *metal.Server, d *rand.Rand) { s.Spec.Record = nil },
	func(s *metal.Server, d *rand.Rand) {
		s.Status.Conditions = []metav1.Condition{condition("A", fmt.Sprint("m", d.IntN(3))), condition("B", "n")}[:d.IntN(3)]
	},
	func(s *metal.Server, d *rand.Rand) { s.Status.Wipe = &metal.WipeStatus{ID: "w", UpdatedAt: at(d)} },
	func(s *metal.Server, d *rand.Rand) { s.Status = metal.ServerStatus{} },
	func(s *metal.Server, d *rand.Rand) {
		s.Status.Power = &metal.PowerStatus{State: metal.PowerOn, ObservedAt: &metav1.Time{Time: at(d).Time}}
	},
}

func specRow(d *rand.Rand, s metal.ServerSpec) metal.ServerSpec {
	specRows[d.IntN(len(specRows))].change(&s)
	return s
}

var claimChanges = []func(*metal.ServerClaim, *rand.Rand){
	func(c *metal.ServerClaim, d *rand.Rand) { c.Spec.ClassName = []string{"small", "large", ""}[d.IntN(3)] },
	func(c *metal.ServerClaim, d *rand.Rand) {
		c.Spec.Binding = &metal.Binding{Server: "s", BindingID: []string{"a", "b", ""}[d.IntN(3)]}
	},
	func(c *metal.ServerClaim, d *rand.Rand) { c.Spec.Binding = nil },
	func(c *metal.ServerClaim, d *rand.Rand) {
		c.Status.Conditions = []metav1.Condition{condition("A", fmt.Sprint("m", d.IntN(3)))}[:d.IntN(2)]
	},
	func(c *metal.ServerClaim, d *rand.Rand) { c.Status.Addresses = []string{"a", "b", "a"}[:d.IntN(4)] },
}

var inventoryChanges = []func(*metal.ServerInventory, *rand.Rand){
	func(i *metal.ServerInventory, d *rand.Rand) { i.Spec.Arch = []string{"amd64", "arm64"}[d.IntN(2)] },
	func(i *metal.ServerInventory, d *rand.Rand) { i.Spec.ReportedAt = at(d) },
	func(i *metal.ServerInventory, d *rand.Rand) {
		i.Spec.Disks = []metal.Disk{{Name: "sda", SizeBytes: 1<<60 + 1, Contents: metal.DiskBlank}, {Name: "sdb", Contents: "Odd"}}[:d.IntN(3)]
	},
	func(i *metal.ServerInventory, d *rand.Rand) { i.Spec.NICs = make([]metal.NIC, d.IntN(3)) },
}

var configMapChanges = []func(*corev1.ConfigMap, *rand.Rand){
	func(m *corev1.ConfigMap, d *rand.Rand) { m.Data = map[string]string{"a": fmt.Sprint(d.IntN(3))} },
	func(m *corev1.ConfigMap, d *rand.Rand) { m.Data = map[string]string{} },
	func(m *corev1.ConfigMap, d *rand.Rand) {
		m.BinaryData = map[string][]byte{"b": make([]byte, d.IntN(3))}
	},
	func(m *corev1.ConfigMap, d *rand.Rand) { m.Data = map[string]string{"bad key": ""} },
	func(m *corev1.ConfigMap, d *rand.Rand) { yes := d.IntN(8) == 0; m.Immutable = &yes },
}

var secretChanges = []func(*corev1.Secret, *rand.Rand){
	func(s *corev1.Secret, d *rand.Rand) { s.Data = map[string][]byte{"a": make([]byte, d.IntN(3))} },
	func(s *corev1.Secret, d *rand.Rand) { s.StringData = map[string]string{"b": fmt.Sprint(d.IntN(3))} },
	func(s *corev1.Secret, d *rand.Rand) { s.Type = []corev1.SecretType{"", "example.org/other"}[d.IntN(2)] },
	func(s *corev1.Secret, d *rand.Rand) { s.Data = nil },
}
