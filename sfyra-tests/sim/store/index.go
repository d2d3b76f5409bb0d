package store

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// index finds objects of a view by values that a function extracts.
type index struct {
	extract client.IndexerFunc
	keys    map[string]map[types.NamespacedName]struct{}
}

var _ client.FieldIndexer = (*View)(nil)

// IndexField makes lists of the view find objects by a field, as a manager's cache does.
func (v *View) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	k, err := v.store.kindOf(obj)
	if err != nil {
		return err
	}
	l := &v.lanes[k.number]
	if l.indexes[field] != nil {
		return fmt.Errorf("indexing %s by %s: there is such an index", k.gvk.Kind, field)
	}
	if l.indexes == nil {
		l.indexes = map[string]*index{}
	}
	i := &index{extract, map[string]map[types.NamespacedName]struct{}{}}
	for _, x := range l.objects.sorted {
		i.add(x.key, x.object)
	}
	l.indexes[field] = i
	return nil
}

// put sets or removes an object of the view.
func (l *lane) put(key types.NamespacedName, o client.Object) {
	l.whole = nil
	if len(l.indexes) > 0 {
		old := l.objects.get(key)
		for _, i := range l.indexes {
			i.drop(key, old)
			i.add(key, o)
		}
	}
	l.objects.put(key, o)
}

func (i *index) add(key types.NamespacedName, o client.Object) {
	if o == nil {
		return
	}
	for _, value := range i.extract(o) {
		if i.keys[value] == nil {
			i.keys[value] = map[types.NamespacedName]struct{}{}
		}
		i.keys[value][key] = struct{}{}
	}
}

func (i *index) drop(key types.NamespacedName, o client.Object) {
	if o == nil {
		return
	}
	for _, value := range i.extract(o) {
		delete(i.keys[value], key)
	}
}

// byIndex are the places of the objects that have all values, in order.
func (l *lane) byIndex(selector fields.Selector) ([]*slot, error) {
	var found []*slot
	for n, r := range selector.Requirements() {
		i := l.indexes[r.Field]
		if i == nil {
			return nil, fmt.Errorf("index with name field:%s does not exist", r.Field)
		}
		if n > 0 {
			found = slices.DeleteFunc(found, func(x *slot) bool { _, ok := i.keys[r.Value][x.key]; return !ok })
			continue
		}
		for key := range i.keys[r.Value] {
			found = append(found, l.objects.slots[key])
		}
	}
	slices.SortFunc(found, func(a, b *slot) int { return compareKey(a, b.key) })
	return found, nil
}
