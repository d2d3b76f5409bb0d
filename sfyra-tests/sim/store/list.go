package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// List reads the objects of one kind: from the store with pages, each of one and the same state; from a view with its indexes and without pages.
func (c *Client) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	k := c.store.kindOfList(list)
	if k == nil {
		return fmt.Errorf("finding the kind of %T: the store has no such kind", list)
	}
	var o client.ListOptions
	for _, opt := range opts {
		opt.ApplyToList(&o)
	}
	if _, err := c.store.begin(ctx, k, c.op(List, k, types.NamespacedName{Namespace: o.Namespace})); err != nil {
		return err
	}
	if c.view != nil {
		return c.view.list(k, list, &o)
	}
	return c.store.list(k, list, &o)
}

func (s *Store) kindOfList(list client.ObjectList) *kind {
	for _, k := range s.kinds {
		if k.isList(list) {
			return k
		}
	}
	return nil
}

func (s *Store) list(k *kind, list client.ObjectList, o *client.ListOptions) error {
	t, version, after := &k.objects, s.version, ""
	if o.Continue != "" {
		var err error
		if version, after, err = parseContinue(o.Continue); err != nil {
			return err
		}
		t = s.past(k, version)
	}
	sorted := t.sorted
	for after != "" && len(sorted) > 0 && sorted[0].path() <= after {
		sorted = sorted[1:]
	}
	chosen, err := choose(sorted, o, fieldsOfMeta)
	if err != nil {
		return err
	}
	list.SetResourceVersion(strconv.FormatInt(version, 10))
	list.SetContinue("")
	list.SetRemainingItemCount(nil)
	if rest := int64(len(chosen)) - o.Limit; o.Limit > 0 && rest > 0 {
		chosen = chosen[:o.Limit]
		list.SetContinue(continueAfter(version, chosen[o.Limit-1]))
		if empty(o) {
			list.SetRemainingItemCount(&rest)
		}
	}
	k.fill(list, chosen, true)
	return nil
}

func empty(o *client.ListOptions) bool {
	return (o.LabelSelector == nil || o.LabelSelector.Empty()) && (o.FieldSelector == nil || o.FieldSelector.Empty())
}

// past is the table as it was at an older version.
func (s *Store) past(k *kind, version int64) *table {
	if n := len(k.log); n == 0 || k.log[n-1].Version <= version {
		return &k.objects
	}
	t := k.objects.copy()
	for i := len(k.log) - 1; i >= 0 && k.log[i].Version > version; i-- {
		t.put(k.log[i].Key, k.log[i].Before)
	}
	return &t
}

// choose are the objects that fit the options. fieldsOf are the fields that can be selected by; with nil there are none.
func choose(sorted []*slot, o *client.ListOptions, fieldsOf func(types.NamespacedName) fields.Set) ([]client.Object, error) {
	byField := o.FieldSelector != nil && !o.FieldSelector.Empty()
	if byField {
		for _, r := range o.FieldSelector.Requirements() {
			if fieldsOf == nil || r.Field != "metadata.name" && r.Field != "metadata.namespace" {
				return nil, apierrors.NewBadRequest("field label not supported: " + r.Field)
			}
		}
	}
	all := make([]client.Object, 0, len(sorted))
	for _, x := range sorted {
		if o.Namespace != "" && x.key.Namespace != "" && x.key.Namespace != o.Namespace {
			continue
		}
		if o.LabelSelector != nil && !o.LabelSelector.Matches(labelsOf(x.object)) || byField && !o.FieldSelector.Matches(fieldsOf(x.key)) {
			continue
		}
		all = append(all, x.object)
	}
	return all, nil
}

func fieldsOfMeta(key types.NamespacedName) fields.Set {
	return fields.Set{"metadata.name": key.Name, "metadata.namespace": key.Namespace}
}

func continueAfter(version int64, last client.Object) string {
	path := (&slot{key: client.ObjectKeyFromObject(last)}).path()
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(version, 10) + " " + path))
}

func parseContinue(token string) (version int64, after string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		var first string
		first, after, _ = strings.Cut(string(text), " ")
		version, err = strconv.ParseInt(first, 10, 64)
	}
	if err != nil || after == "" {
		return 0, "", apierrors.NewBadRequest("continue key is not valid")
	}
	return version, after, nil
}
