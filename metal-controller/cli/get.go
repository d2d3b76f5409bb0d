package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// tableAccept asks the API server for its own columns, as kubectl does.
const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

type get struct {
	env       *Env
	output    string
	selector  string
	watch     bool
	all       bool
	noHeaders bool
	format    *genericclioptions.PrintFlags
}

func newGet(env *Env) *cobra.Command {
	g := &get{env: env, format: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:   "get [KIND] [NAME...]",
		Short: "List servers and the other kinds of Ingot, or show one",
		Long: `List servers and the other kinds of Ingot, or show one: servers, claims, classes, environments and inventory.

With --watch it goes on: on a terminal the table is kept up to date in place, elsewhere each change is a new line.`,
		Example: `  ingot get servers
  ingot get server rack1-07 -o yaml
  ingot get servers -l site=berlin -o wide
  ingot get servers --watch
  ingot get claims -A
  ingot get classes
  ingot get environments -o wide
  ingot get inventory rack1-07 -o yaml`,
		RunE:              func(cmd *cobra.Command, args []string) error { return g.run(cmd.Context(), args) },
		ValidArgsFunction: g.complete,
	}
	cmd.Flags().StringVarP(&g.output, "output", "o", "", "wide, name, json, yaml, jsonpath=… or another of kubectl's formats")
	cmd.Flags().StringVarP(&g.selector, "selector", "l", "", "labels to select by")
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "go on showing changes")
	cmd.Flags().BoolVarP(&g.all, "all-namespaces", "A", false, "show claims of all namespaces")
	cmd.Flags().BoolVar(&g.noHeaders, "no-headers", false, "leave out the headers")
	g.format.AddFlags(&cobra.Command{}) // its own -o would clash with wide
	return cmd
}

// kinds are Ingot's, as the API names them; words are what people type for those with long names.
var (
	kinds = []string{"servers", "serverinventories", "serverclasses", "serverclaims", "environments"}
	words = map[string]string{
		"claim": "serverclaims", "claims": "serverclaims", "class": "serverclasses", "classes": "serverclasses",
		"inventory": "serverinventories", "inventories": "serverinventories",
	}
)

// inFull puts the API's names of kinds for the words that people type: KIND,KIND first, or KIND/NAME anywhere.
func inFull(args []string) []string {
	full := slices.Clone(args)
	for i, arg := range full {
		kind, name, slash := strings.Cut(arg, "/")
		switch {
		case slash:
			full[i] = cmp.Or(words[kind], kind) + "/" + name
		case i == 0:
			list := strings.Split(arg, ",")
			for n, word := range list {
				list[n] = cmp.Or(words[word], word)
			}
			full[i] = strings.Join(list, ",")
		}
	}
	return full
}

// complete knows the kinds and the names of their objects.
func (g *get) complete(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return []string{"servers", "claims", "classes", "environments", "inventory"}, cobra.ShellCompDirectiveNoFileComp
	}
	switch inFull(args)[0] {
	case "server", "servers", "srv", "serverinventory", "serverinventories":
		return g.env.completeServers(cmd, args[1:], prefix)
	case "serverclaim", "serverclaims", "sclaim":
		return g.env.completeClaims(cmd, args[1:], prefix, "")
	case "serverclass", "serverclasses", "sclass":
		return g.env.completeNames(cmd.Context(), &metal.ServerClassList{}, prefix, "")
	case "environment", "environments", "env":
		return g.env.completeNames(cmd.Context(), &metal.EnvironmentList{}, prefix, "")
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (g *get) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"servers"}
	}
	printer, table, err := g.printer()
	if err != nil {
		return &ExitError{Code: CodeUsage, Err: err}
	}
	if err := g.env.configured(); err != nil {
		return err
	}
	namespace, err := g.env.namespace()
	if err != nil {
		return err
	}
	query := func() *resource.Result { return g.query(namespace, inFull(args), table) }
	if g.watch {
		return g.follow(ctx, query, printer, table)
	}
	out := printers.GetNewTabWriter(g.env.Streams.Out)
	return errors.Join(g.print(query(), printer, table, out), out.Flush())
}

// query asks the API server, for its own table or for the objects.
func (g *get) query(namespace string, args []string, table bool) *resource.Result {
	r := resource.NewBuilder(g.env.config).Unstructured().NamespaceParam(namespace).DefaultNamespace().AllNamespaces(g.all).
		LabelSelectorParam(g.selector).ResourceTypeOrNameArgs(true, args...).Latest().ContinueOnError()
	if table {
		return r.TransformRequests(func(r *rest.Request) { r.SetHeader("Accept", tableAccept) }).Do()
	}
	if g.watch {
		return r.Do() // flattened, the version of the list would be lost
	}
	return r.Flatten().Do()
}

// printer is the one for the wanted output, and whether it prints the server's table.
func (g *get) printer() (printers.ResourcePrinter, bool, error) {
	if g.output == "" || g.output == "wide" {
		return printers.NewTablePrinter(printers.PrintOptions{Wide: g.output == "wide", NoHeaders: g.noHeaders, WithNamespace: g.all}), true, nil
	}
	g.format.OutputFormat = &g.output
	p, err := g.format.ToPrinter()
	return p, false, err
}

func (g *get) print(result *resource.Result, p printers.ResourcePrinter, table bool, out io.Writer) error {
	infos, err := result.Infos()
	if err != nil {
		return explain(err)
	}
	if !table && len(infos) != 1 && g.output != "name" {
		return p.PrintObj(listOf(infos), out)
	}
	for _, info := range infos {
		object, err := decodeTable(info.Object)
		if err != nil {
			return err
		}
		if t, ok := object.(*metav1.Table); ok && len(t.Rows) == 0 {
			fmt.Fprintln(g.env.Streams.ErrOut, emptyHint(info.Mapping.Resource.Resource))
			continue
		}
		if err := p.PrintObj(object, out); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// emptyHint says what to do when there is nothing to show.
func emptyHint(resource string) string {
	if resource == "servers" {
		return "No servers yet. Netboot a machine on Ingot's network, or declare one with its BMC; `ingot lab` racks virtual ones."
	}
	return "No " + resource + " found."
}

func listOf(infos []*resource.Info) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}}}
	for _, info := range infos {
		if u, ok := info.Object.(*unstructured.Unstructured); ok {
			list.Items = append(list.Items, *u)
		}
	}
	return list
}

// decodeTable turns the untyped answer of the API server into the Table that the printer knows.
func decodeTable(object runtime.Object) (runtime.Object, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok || u.GetKind() != "Table" || !strings.HasPrefix(u.GetAPIVersion(), metav1.GroupName) {
		return object, nil
	}
	table := &metav1.Table{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, table); err != nil {
		return nil, fmt.Errorf("reading the API server's table: %w", err)
	}
	for i := range table.Rows {
		row := &table.Rows[i]
		if row.Object.Raw == nil {
			continue
		}
		decoded, err := runtime.Decode(unstructured.UnstructuredJSONScheme, row.Object.Raw)
		if err != nil {
			return nil, fmt.Errorf("reading a row of the API server's table: %w", err)
		}
		row.Object.Object = decoded
	}
	return table, nil
}
