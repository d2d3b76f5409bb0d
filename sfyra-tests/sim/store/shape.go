package store

import (
	"bytes"
	"maps"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shape is what has to be known of one Go type to compare and clean its values. It is compiled once from the type, since reflection
// at each write would cost most of the write. Pointers point to a value of that very type.
type shape struct {
	// equal is whether both have the same JSON, given that both are clean.
	equal func(a, b unsafe.Pointer) bool
	// clean makes the value what a reader gets back from the API: times in whole seconds or microseconds, no empty lists where they are left out.
	// It is nil when there is nothing to do.
	clean func(p unsafe.Pointer)
}

// tidy is clean where there may be nothing to do.
func (s shape) tidy(p unsafe.Pointer) {
	if s.clean != nil {
		s.clean(p)
	}
}

// slice is the memory of a Go slice.
type slice struct {
	data     unsafe.Pointer
	len, cap int
}

var special = map[reflect.Type]shape{
	reflect.TypeFor[metav1.Time](): {
		equal: func(a, b unsafe.Pointer) bool { return (*metav1.Time)(a).Time.Equal((*metav1.Time)(b).Time) },
		clean: func(p unsafe.Pointer) {
			if t := (*metav1.Time)(p); !t.IsZero() {
				t.Time = time.Unix(t.Unix(), 0)
			}
		},
	},
	reflect.TypeFor[metav1.MicroTime](): {
		equal: func(a, b unsafe.Pointer) bool { return (*metav1.MicroTime)(a).Time.Equal((*metav1.MicroTime)(b).Time) },
		clean: func(p unsafe.Pointer) {
			if t := (*metav1.MicroTime)(p); !t.IsZero() {
				t.Time = time.UnixMicro(t.UnixMicro())
			}
		},
	},
	reflect.TypeFor[resource.Quantity](): {
		equal: func(a, b unsafe.Pointer) bool {
			return (*resource.Quantity)(a).String() == (*resource.Quantity)(b).String()
		},
	},
	reflect.TypeFor[[]byte](): {
		equal: func(a, b unsafe.Pointer) bool { return bytes.Equal(*(*[]byte)(a), *(*[]byte)(b)) },
	},
	reflect.TypeFor[map[string]string](): {
		equal: func(a, b unsafe.Pointer) bool { return maps.Equal(*(*map[string]string)(a), *(*map[string]string)(b)) },
	},
	reflect.TypeFor[map[string][]byte](): {
		equal: func(a, b unsafe.Pointer) bool {
			return maps.EqualFunc(*(*map[string][]byte)(a), *(*map[string][]byte)(b), bytes.Equal)
		},
	},
}

func compile(t reflect.Type) shape {
	if s, ok := special[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.String:
		return plain[string]()
	case reflect.Bool:
		return plain[bool]()
	case reflect.Int32, reflect.Uint32:
		return plain[int32]()
	case reflect.Int64, reflect.Uint64, reflect.Int, reflect.Uint:
		return plain[int64]()
	case reflect.Pointer:
		s := pointerShape(compile(t.Elem()))
		if t.Elem() == reflect.TypeFor[metav1.Time]() || t.Elem() == reflect.TypeFor[metav1.MicroTime]() {
			s.clean = forgetZero(s.clean)
		}
		return s
	case reflect.Slice:
		return sliceShape(compile(t.Elem()), t.Elem().Size())
	case reflect.Struct:
		return structShape(fieldsOf(t, nil))
	default:
		return shape{equal: func(a, b unsafe.Pointer) bool {
			return equality.Semantic.DeepEqual(reflect.NewAt(t, a).Elem().Interface(), reflect.NewAt(t, b).Elem().Interface())
		}}
	}
}

func plain[T comparable]() shape {
	return shape{equal: func(a, b unsafe.Pointer) bool { return *(*T)(a) == *(*T)(b) }}
}

func pointerShape(of shape) shape {
	s := shape{equal: func(a, b unsafe.Pointer) bool {
		x, y := *(*unsafe.Pointer)(a), *(*unsafe.Pointer)(b)
		return x == y || x != nil && y != nil && of.equal(x, y)
	}}
	if of.clean != nil {
		s.clean = func(p unsafe.Pointer) {
			if x := *(*unsafe.Pointer)(p); x != nil {
				of.clean(x)
			}
		}
	}
	return s
}

// forgetZero makes a pointer to no time nil: its JSON is null.
func forgetZero(clean func(unsafe.Pointer)) func(unsafe.Pointer) {
	return func(p unsafe.Pointer) {
		if x := (**time.Time)(p); *x != nil && (*x).IsZero() { // both kinds of time begin with a time.Time
			*x = nil
		}
		clean(p)
	}
}

func sliceShape(of shape, size uintptr) shape {
	s := shape{equal: func(a, b unsafe.Pointer) bool {
		x, y := (*slice)(a), (*slice)(b)
		if x.len != y.len || x.data == y.data {
			return x.len == y.len
		}
		for i := range x.len {
			if !of.equal(unsafe.Add(x.data, uintptr(i)*size), unsafe.Add(y.data, uintptr(i)*size)) {
				return false
			}
		}
		return true
	}}
	if of.clean != nil {
		s.clean = func(p unsafe.Pointer) {
			x := (*slice)(p)
			for i := range x.len {
				of.clean(unsafe.Add(x.data, uintptr(i)*size))
			}
		}
	}
	return s
}

// fieldShape is a field of a struct.
type fieldShape struct {
	shape
	offset uintptr
}

// fieldsOf are the fields of a struct, without those that skip names.
func fieldsOf(t reflect.Type, skip func(name string) bool) []fieldShape {
	var fields []fieldShape
	for i := range t.NumField() {
		f := t.Field(i)
		if skip != nil && skip(f.Name) {
			continue
		}
		s := compile(f.Type)
		if (f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map) && strings.Contains(f.Tag.Get("json"), "omitempty") {
			s.clean = leaveOut(f.Type, s.clean)
		}
		fields = append(fields, fieldShape{s, f.Offset})
	}
	return fields
}

// leaveOut makes an empty list or map absent, as omitempty does.
func leaveOut(t reflect.Type, clean func(unsafe.Pointer)) func(unsafe.Pointer) {
	return func(p unsafe.Pointer) {
		if v := reflect.NewAt(t, p).Elem(); v.Len() == 0 {
			v.SetZero()
		} else if clean != nil {
			clean(p)
		}
	}
}

func structShape(fields []fieldShape) shape {
	s := shape{equal: func(a, b unsafe.Pointer) bool {
		for _, f := range fields {
			if !f.equal(unsafe.Add(a, f.offset), unsafe.Add(b, f.offset)) {
				return false
			}
		}
		return true
	}}
	var dirty []fieldShape
	for _, f := range fields {
		if f.clean != nil {
			dirty = append(dirty, f)
		}
	}
	if len(dirty) > 0 {
		s.clean = func(p unsafe.Pointer) {
			for _, f := range dirty {
				f.clean(unsafe.Add(p, f.offset))
			}
		}
	}
	return s
}
