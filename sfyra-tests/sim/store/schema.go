package store

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// check says what is wrong with a value, with its path, or nothing. Like a shape it is compiled once, from a Go type and the schema of its JSON;
// CEL rules are not in it but in rules.go.
// old is the value that it replaces, or nil: a string that is as it was is not looked at again, which spares most of the work.
type check func(p, old unsafe.Pointer) string

// scheme is the part of an OpenAPI schema that one Go type has to keep.
type scheme = apiextensions.JSONSchemaProps

// compileCheck is nil when nothing can be wrong.
func compileCheck(t reflect.Type, s *scheme) check {
	switch {
	case t == reflect.TypeFor[metav1.Time]() || t == reflect.TypeFor[metav1.MicroTime]():
		return nil
	case t.Kind() == reflect.String:
		return checkString(s)
	case t.Kind() == reflect.Int32:
		return checkInt(s, func(p unsafe.Pointer) int64 { return int64(*(*int32)(p)) })
	case t.Kind() == reflect.Int64:
		return checkInt(s, func(p unsafe.Pointer) int64 { return *(*int64)(p) })
	case t.Kind() == reflect.Pointer:
		return checkPointer(compileCheck(t.Elem(), s))
	case t.Kind() == reflect.Slice && s.Items != nil:
		return checkSlice(t, s)
	case t.Kind() == reflect.Struct && s.Properties != nil:
		return checkStruct(t, s)
	}
	return nil
}

func checkString(s *scheme) check {
	var all []func(string) string
	if s.MinLength != nil || s.MaxLength != nil {
		all = append(all, func(v string) string { return within(int64(utf8.RuneCountInString(v)), s.MinLength, s.MaxLength) })
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, e := range s.Enum {
			if v, err := strconv.Unquote(string(e.Raw)); err == nil {
				values = append(values, v)
			}
		}
		all = append(all, func(v string) string { return unless(slices.Contains(values, v), "unsupported value") })
	}
	if s.Pattern != "" {
		if pattern, err := regexp.Compile(s.Pattern); err == nil {
			all = append(all, func(v string) string { return unless(pattern.MatchString(v), "does not match "+s.Pattern) })
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(p, old unsafe.Pointer) string {
		if old != nil && *(*string)(p) == *(*string)(old) {
			return ""
		}
		for _, f := range all {
			if wrong := f(*(*string)(p)); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

func unless(good bool, wrong string) string {
	if good {
		return ""
	}
	return wrong
}

// within is for lengths, counts and numbers; its bounds are inclusive.
func within(n int64, least, most *int64) string {
	if least != nil && n < *least {
		return fmt.Sprintf("%d is less than %d", n, *least)
	}
	if most != nil && n > *most {
		return fmt.Sprintf("%d is more than %d", n, *most)
	}
	return ""
}

func checkInt(s *scheme, value func(unsafe.Pointer) int64) check {
	if s.Minimum == nil && s.Maximum == nil {
		return nil
	}
	whole := func(f *float64) *int64 {
		if f == nil {
			return nil
		}
		n := int64(*f)
		return &n
	}
	least, most := whole(s.Minimum), whole(s.Maximum)
	return func(p, _ unsafe.Pointer) string { return within(value(p), least, most) }
}

func checkPointer(of check) check {
	if of == nil {
		return nil
	}
	return func(p, old unsafe.Pointer) string {
		if x := *(*unsafe.Pointer)(p); x != nil {
			if old != nil {
				old = *(*unsafe.Pointer)(old)
			}
			return of(x, old)
		}
		return ""
	}
}

func checkSlice(t reflect.Type, s *scheme) check {
	of, size, twice := compileCheck(t.Elem(), s.Items.Schema), t.Elem().Size(), duplicates(t, s)
	if of == nil && twice == nil && s.MinItems == nil && s.MaxItems == nil {
		return nil
	}
	return func(p, old unsafe.Pointer) string {
		x, was := (*slice)(p), &slice{}
		if old != nil {
			was = (*slice)(old)
		}
		if wrong := within(int64(x.len), s.MinItems, s.MaxItems); wrong != "" {
			return wrong
		}
		for i := range x.len {
			if of == nil {
				break
			}
			var before unsafe.Pointer
			if i < was.len {
				before = unsafe.Add(was.data, uintptr(i)*size)
			}
			if wrong := of(unsafe.Add(x.data, uintptr(i)*size), before); wrong != "" {
				return "[" + strconv.Itoa(i) + "]" + below(wrong)
			}
		}
		if twice != nil && x.len > 1 {
			return twice(p, nil)
		}
		return ""
	}
}

// duplicates checks lists that are sets of strings or maps with one key.
func duplicates(t reflect.Type, s *scheme) check {
	var offset uintptr
	switch {
	case s.XListType == nil || *s.XListType == "atomic":
		return nil
	case *s.XListType == "map" && len(s.XListMapKeys) == 1 && t.Elem().Kind() == reflect.Struct:
		for i := range t.Elem().NumField() {
			if f := t.Elem().Field(i); jsonName(f) == s.XListMapKeys[0] {
				offset = f.Offset
			}
		}
	}
	size := t.Elem().Size()
	return func(p, _ unsafe.Pointer) string {
		x, seen := (*slice)(p), map[string]bool{}
		for i := range x.len {
			key := *(*string)(unsafe.Add(x.data, uintptr(i)*size+offset))
			if seen[key] {
				return "duplicate " + key
			}
			seen[key] = true
		}
		return ""
	}
}

// property is a field of a struct under its JSON name.
type property struct {
	name     string
	offset   uintptr
	absent   func(p unsafe.Pointer) bool // whether JSON leaves it out, or has a null, which the API server drops
	required bool
	check    check
}

func checkStruct(t reflect.Type, s *scheme) check {
	properties := propertiesOf(t, s, 0)
	if len(properties) == 0 && s.MinProperties == nil {
		return nil
	}
	return func(p, old unsafe.Pointer) string {
		count := int64(0)
		for _, f := range properties {
			at := unsafe.Add(p, f.offset)
			if f.absent(at) {
				if f.required {
					return f.name + ": required"
				}
				continue
			}
			count++
			if f.check != nil {
				var before unsafe.Pointer
				if old != nil {
					before = unsafe.Add(old, f.offset)
				}
				if wrong := f.check(at, before); wrong != "" {
					return f.name + below(wrong)
				}
			}
		}
		return within(count, s.MinProperties, nil)
	}
}

// below joins a path with what follows: another name, an index, or what is wrong.
func below(wrong string) string {
	if strings.HasPrefix(wrong, "[") {
		return wrong
	}
	return "." + wrong
}

func propertiesOf(t reflect.Type, s *scheme, offset uintptr) []property {
	var all []property
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && strings.Contains(f.Tag.Get("json"), ",inline") {
			all = append(all, propertiesOf(f.Type, s, offset+f.Offset)...)
			continue
		}
		name := jsonName(f)
		of, ok := s.Properties[name]
		if !ok {
			continue
		}
		required := slices.Contains(s.Required, name)
		c := compileCheck(f.Type, &of)
		if c != nil || required || s.MinProperties != nil {
			all = append(all, property{name, offset + f.Offset, absence(f), required, c})
		}
	}
	return all
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// absence is when JSON leaves a field out or has a null.
func absence(f reflect.StructField) func(unsafe.Pointer) bool {
	omit := strings.Contains(f.Tag.Get("json"), "omitempty")
	switch k := f.Type.Kind(); {
	case f.Type == reflect.TypeFor[metav1.Time]():
		return func(p unsafe.Pointer) bool { return (*metav1.Time)(p).IsZero() }
	case f.Type == reflect.TypeFor[metav1.MicroTime]():
		return func(p unsafe.Pointer) bool { return (*metav1.MicroTime)(p).IsZero() }
	case k == reflect.Pointer || k == reflect.Map:
		return func(p unsafe.Pointer) bool { return *(*unsafe.Pointer)(p) == nil }
	case k == reflect.Slice && omit:
		return func(p unsafe.Pointer) bool { return (*slice)(p).len == 0 }
	case k == reflect.Slice:
		return func(p unsafe.Pointer) bool { return (*slice)(p).data == nil }
	case k == reflect.Struct || !omit:
		return func(unsafe.Pointer) bool { return false }
	}
	size := f.Type.Size()
	if f.Type.Kind() == reflect.String {
		return func(p unsafe.Pointer) bool { return *(*string)(p) == "" }
	}
	return func(p unsafe.Pointer) bool {
		for _, b := range unsafe.Slice((*byte)(p), size) {
			if b != 0 {
				return false
			}
		}
		return true
	}
}
