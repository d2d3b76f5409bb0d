package storetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Compare does the same n random operations on two backends and wants the same of both after each: the reason of the error, whether the version
// changed, and what is stored then. Times that the server gives, UIDs and versions are compared by whether they are there. It returns the first
// difference with the operations that led to it, or nothing.
func Compare(t *testing.T, seed uint64, n int, a, b Backend) string {
	left, right := newActor(t, a), newActor(t, b)
	dice := rand.New(rand.NewPCG(seed, 0))
	var trace []string
	for range n {
		op := draw(dice)
		got, want := left.do(op), right.do(op)
		trace = append(trace, op.String()+" "+want.reason)
		if got != want {
			return fmt.Sprintf("seed %d differs after\n%s\nfirst:  %s\nsecond: %s", seed, strings.Join(trace[max(0, len(trace)-12):], "\n"), got, want)
		}
	}
	return ""
}

// Tally counts how often the operations of some seeds ended how, so that a test can see that they reach what they should.
func Tally(t *testing.T, seeds, n int, open func() Backend) map[string]int {
	count := map[string]int{}
	for seed := range seeds {
		a, dice := newActor(t, open()), rand.New(rand.NewPCG(uint64(seed), 0))
		for range n {
			count[a.do(draw(dice)).reason]++
		}
	}
	return count
}

// operation is drawn without a look at a backend, so that both get the same.
type operation struct {
	verb   string
	kind   int
	name   int
	ingot  bool
	stale  bool // act on what was read at some time, not on what is there
	change []int
	roll   uint64 // for the changes
}

var verbs = []string{"create", "get", "read", "update", "update", "patch", "patch", "locked", "locked", "locked", "status-update", "status-patch", "status-locked", "status-locked", "delete", "delete-if", "list"}

func draw(dice *rand.Rand) operation {
	op := operation{
		verb: verbs[dice.IntN(len(verbs))], kind: min(dice.IntN(len(templates)+3), len(templates)+2), name: dice.IntN(2),
		ingot: dice.IntN(4) > 0, stale: dice.IntN(4) == 0, roll: dice.Uint64(),
	}
	if op.kind >= len(templates) {
		op.kind = 0 // Servers are what it is about
	}
	for range 1 + dice.IntN(2) {
		op.change = append(op.change, dice.IntN(1<<16))
	}
	return op
}

func (o operation) String() string {
	return fmt.Sprintf("%s %s %d ingot=%v stale=%v changes=%v", o.verb, templates[o.kind].name, o.name, o.ingot, o.stale, o.change)
}

// outcome is what is compared.
type outcome struct {
	reason  string
	changed bool
	stored  string
}

func (o outcome) String() string {
	return fmt.Sprintf("%q changed=%v %s", o.reason, o.changed, o.stored)
}

// actor does operations on one backend.
type actor struct {
	*testing.T
	Backend
	read map[string]client.Object // what was read last with "read", to be stale later
	last map[string]client.Object // what was there after the last operation
}

func newActor(t *testing.T, b Backend) *actor {
	return &actor{T: t, Backend: b, read: map[string]client.Object{}, last: map[string]client.Object{}}
}

func (a *actor) do(op operation) outcome {
	template := templates[op.kind]
	fresh := template.make(a.Backend, op.name)
	before := a.last[op.key()]
	if before == nil && op.roll%4 > 0 {
		op.verb = "create" // or most would not be found
	}
	object, base := a.start(op, fresh, before)
	dice := rand.New(rand.NewPCG(op.roll, 1))
	if op.verb != "delete" && op.verb != "get" && op.verb != "list" && op.verb != "read" {
		for _, c := range op.change {
			template.changes[c%len(template.changes)](object, dice)
		}
	}
	err := a.act(op, object, base)
	if op.verb == "create" && err == nil && template.status {
		// The first write of an empty status is a change on a real server, since none is there yet.
		err = a.Ingot.Status().Patch(a.Context(), object, raw(`{"status":{}}`))
	}
	if op.verb == "read" && before != nil {
		a.read[op.key()] = before
	}
	after := a.stored(fresh)
	a.last[op.key()] = after
	return outcome{reasonOf(err), versionOf(before) != versionOf(after), a.render(after)}
}

func (o operation) key() string { return fmt.Sprint(o.kind, "/", o.name) }

// start is the object to act on and the base of a patch.
func (a *actor) start(op operation, fresh, stored client.Object) (object, base client.Object) {
	object = fresh
	if stored != nil && op.verb != "create" {
		object = stored
	}
	if old := a.read[op.key()]; op.stale && old != nil && op.verb != "create" {
		object = old
	}
	object, base = clone(object), clone(object)
	return object, base
}

func clone(o client.Object) client.Object {
	c, _ := o.DeepCopyObject().(client.Object)
	return c
}

func (a *actor) act(op operation, o, base client.Object) error {
	c, ctx := a.Admin, a.Context()
	if op.ingot {
		c = a.Ingot
	}
	switch op.verb {
	case "create":
		return c.Create(ctx, o)
	case "update":
		return c.Update(ctx, o)
	case "patch":
		return c.Patch(ctx, o, client.MergeFrom(base))
	case "locked":
		return c.Patch(ctx, o, locked(base))
	case "status-update":
		return c.Status().Update(ctx, o)
	case "status-patch":
		return c.Status().Patch(ctx, o, client.MergeFrom(base))
	case "status-locked":
		return c.Status().Patch(ctx, o, locked(base))
	case "delete":
		return c.Delete(ctx, o)
	case "delete-if":
		uid, version := o.GetUID(), o.GetResourceVersion()
		return c.Delete(ctx, o, client.Preconditions{UID: &uid, ResourceVersion: &version})
	case "list":
		return a.list(c, op)
	}
	return c.Get(ctx, client.ObjectKeyFromObject(o), o)
}

// list compares nothing but names; it fails when they are not those of Get.
func (a *actor) list(c client.Client, op operation) error {
	template := templates[op.kind]
	l := template.list()
	if err := c.List(a.Context(), l, client.HasLabels{"test-" + a.Namespaces[0]}); err != nil {
		return err
	}
	var listed, there []string
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	var items struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return err
	}
	for _, i := range items.Items {
		listed = append(listed, i.Metadata.Name)
	}
	for name := range 2 {
		if o := a.stored(template.make(a.Backend, name)); o != nil && o.GetLabels()["test-"+a.Namespaces[0]] != "" {
			there = append(there, o.GetName())
		}
	}
	if !slices.Equal(listed, there) {
		a.Errorf("listed %v, there are %v", listed, there)
	}
	return nil
}

// stored is what is there now, read into an empty object, or nil.
func (a *actor) stored(like client.Object) client.Object {
	a.Helper()
	o := clone(like)
	runtimeZero(o)
	err := a.Ingot.Get(a.Context(), client.ObjectKeyFromObject(like), o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		a.Fatal(err)
	}
	return o
}

func versionOf(o client.Object) string {
	if o == nil {
		return ""
	}
	return o.GetResourceVersion()
}

func reasonOf(err error) string {
	switch reason := apierrors.ReasonForError(err); {
	case err == nil:
		return ""
	case reason == "":
		return "no reason"
	default:
		return string(reason)
	}
}

// render is the JSON without what no two servers have in common.
func (a *actor) render(o client.Object) string {
	a.Helper()
	if o == nil {
		return "nothing"
	}
	document, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		a.Fatal(err)
	}
	delete(document, "apiVersion")
	delete(document, "kind")
	if m, ok := document["metadata"].(map[string]any); ok {
		maps.DeleteFunc(m, func(name string, _ any) bool { return name == "managedFields" })
		for _, name := range []string{"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"} {
			if m[name] != nil {
				m[name] = "there"
			}
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		a.Fatal(err)
	}
	return strings.ReplaceAll(string(text), a.Namespaces[0], "NAMESPACE")
}
