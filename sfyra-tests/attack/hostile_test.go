package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// poison is what every text of an inventory holds here, behind the number of its field: what speaks to terminals, to browsers, to scripts and to boot scripts.
const poison = "\x1b[2J\r\n\u202e<script>alert(1)</script>${chain}`reboot`\x00"

// filler fills messages by their descriptors, so that a field that somebody adds is filled too.
type filler struct{ texts, numbers int }

func (f *filler) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range 3 {
				if fd.Message() != nil {
					f.fill(list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(f.value(fd))
				}
			}
		case fd.Message() != nil:
			f.fill(m.Mutable(fd).Message(), depth+1)
		default:
			m.Set(fd, f.value(fd))
		}
	}
}

func (f *filler) value(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		f.texts++
		return protoreflect.ValueOfString(fmt.Sprintf("f%d %s%s", f.texts, poison, strings.Repeat("A", 500)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		f.numbers++
		return protoreflect.ValueOfInt32([]int32{math.MinInt32, -1, math.MaxInt32}[f.numbers%3])
	case protoreflect.Int64Kind:
		f.numbers++
		return protoreflect.ValueOfInt64([]int64{math.MinInt64, -1, math.MaxInt64}[f.numbers%3])
	default:
		return fd.Default()
	}
}

// TestHostileFields (T37): every field of the inventory and of the evidence, by the protocol's descriptor, holds what it must not. What is kept of it can do no
// harm where it is shown, is bounded, and no number is senseless. That the fields are kept at all is the control.
func TestHostileFields(t *testing.T) {
	w := newWorld(t)
	const mac = "02:00:00:00:32:01"
	m := w.enrol("b-hostile", mac)
	inventory, f := &agent.Inventory{}, filler{}
	f.fill(inventory.ProtoReflect(), 0)
	inventory.Nics[0].PermanentMac, inventory.Nics[0].PciAddress = mac, "0000:00:01.0"
	m.must(m.client.ReportInventory(t.Context(), &agent.ReportInventoryRequest{Inventory: inventory}))
	var kept metal.ServerInventory
	if err := w.admin.Get(t.Context(), client.ObjectKey{Name: m.server}, &kept); err != nil {
		t.Fatal(err)
	}
	texts := harmless(t, "the inventory", kept.Spec)
	if texts < 40 || f.texts < 60 {
		t.Errorf("control: of %d texts only %d are kept", f.texts, texts)
	}
	evidence := &agent.Evidence{}
	f.fill(evidence.ProtoReflect(), 0)
	evidence.Macs = append(evidence.Macs, "02:00:00:00:32:02")
	r, err := agent.NewAgentClient(w.dialAgent(nil)).Enroll(t.Context(), &agent.EnrollRequest{BootId: "b-hostile-too", Evidence: evidence, Csr: csr(t, newKey(t)), AgentVersion: poison})
	if err != nil {
		t.Fatal(err)
	}
	var server metal.Server
	if err := w.admin.Get(t.Context(), client.ObjectKey{Name: r.Server}, &server); err != nil {
		t.Fatal(err)
	}
	if n := harmless(t, "the Server", server.Spec); n == 0 {
		t.Error("control: nothing of the evidence is kept")
	}
	if log := w.log.String(); strings.ContainsAny(log, "\x1b\r\x00\u202e") {
		t.Error("the log has control characters of a machine")
	}
}

// harmless looks at all that is kept, and counts the texts.
func harmless(t *testing.T, what string, kept any) (texts int) {
	t.Helper()
	data, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var look func(path string, v any)
	look = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				look(path+"."+k, x)
			}
		case []any:
			for _, x := range v {
				look(path+"[]", x)
			}
		case float64:
			if v < 0 {
				t.Errorf("%s%s is %v", what, path, v)
			}
		case string:
			texts++
			if len(v) > 512 || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s%s has %d bytes: %q", what, path, len(v), v[:min(len(v), 80)])
			}
		}
	}
	look("", tree)
	return texts
}
