package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// namespace is the one that -n or the kubeconfig names.
func (e *Env) namespace() (string, error) {
	namespace, _, err := e.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return namespace, nil
}

// claimWords are how people and kubectl write the kind of a claim before its name.
var claimWords = []string{"claim/", "serverclaim/", "serverclaims/", "sclaim/"}

// trimClaim accepts claim/NAME as kubectl does.
func trimClaim(name string) string {
	_, name = isClaim(name)
	return name
}

// isClaim says whether a word is claim/NAME, and gives the name.
func isClaim(word string) (bool, string) {
	for _, kind := range claimWords {
		if name, ok := strings.CutPrefix(word, kind); ok {
			return true, name
		}
	}
	return false, word
}

// claim reads one ServerClaim; an unknown name gets an error that names the next step.
func (e *Env) claim(ctx context.Context, c client.Client, name string) (*metal.ServerClaim, error) {
	namespace, err := e.namespace()
	if err != nil {
		return nil, err
	}
	found := &metal.ServerClaim{}
	err = c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found)
	if client.IgnoreNotFound(err) != nil {
		return nil, explain(err)
	}
	if err != nil {
		return nil, fmt.Errorf("there is no claim %q in the namespace %s; `ingot get claims -A` lists them, and -n names another namespace", name, namespace)
	}
	return found, nil
}

// completeNames completes names of objects, each with a prefix; those of namespaces are taken from the one that the flags name.
func (e *Env) completeNames(ctx context.Context, list client.ObjectList, prefix, before string, opts ...client.ListOption) ([]string, cobra.ShellCompDirective) {
	e.prepare()
	c, err := e.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if c.List(ctx, list, opts...) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	_ = meta.EachListItem(list, func(o runtime.Object) error { // fails for what is no list only
		if a, err := meta.Accessor(o); err == nil && strings.HasPrefix(before+a.GetName(), prefix) {
			names = append(names, before+a.GetName())
		}
		return nil
	})
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeClaims completes the name of one claim, each with a prefix.
func (e *Env) completeClaims(cmd *cobra.Command, args []string, prefix, before string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	namespace, err := e.namespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return e.completeNames(cmd.Context(), &metal.ServerClaimList{}, prefix, before, client.InNamespace(namespace))
}
