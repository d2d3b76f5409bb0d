package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/liggitt/tabwriter"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
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
		Example: "  ingot get servers\n  ingot get server rack1-07 -o yaml\n  ingot get servers -l site=berlin -o wide\n" +
			"  ingot get servers --watch",
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

// kinds are Ingot's, as people type them.
var kinds = []string{"servers", "serverinventories", "serverclasses", "serverclaims", "environments"}

// complete knows the kinds, and the names of Servers, which their inventories share.
func (g *get) complete(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return kinds, cobra.ShellCompDirectiveNoFileComp
	}
	switch args[0] {
	case "server", "servers", "srv", "serverinventory", "serverinventories":
		return g.env.completeServers(cmd, args[1:], prefix)
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
	namespace, _, err := g.env.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	r := resource.NewBuilder(g.env.config).Unstructured().NamespaceParam(namespace).DefaultNamespace().AllNamespaces(g.all).
		LabelSelectorParam(g.selector).ResourceTypeOrNameArgs(true, args...).Latest()
	if !table {
		r = r.ContinueOnError().Flatten()
	}
	if table {
		r = r.ContinueOnError().TransformRequests(func(r *rest.Request) { r.SetHeader("Accept", tableAccept) })
	}
	out := printers.GetNewTabWriter(g.env.Streams.Out) // remembers the widths of columns, so that changes line up with what was there
	result := r.Do()
	version, err := g.print(result, printer, table, out)
	if err := errors.Join(err, out.Flush()); err != nil || !g.watch {
		return err
	}
	return g.follow(ctx, result, version, printer, table, out)
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

func (g *get) print(result *resource.Result, p printers.ResourcePrinter, table bool, out io.Writer) (version string, err error) {
	infos, err := result.Infos()
	if err != nil {
		return "", explain(err)
	}
	if !table && len(infos) != 1 && g.output != "name" {
		return versionOf(infos), p.PrintObj(listOf(infos), out)
	}
	for _, info := range infos {
		object, err := decodeTable(info.Object)
		if err != nil {
			return "", err
		}
		if t, ok := object.(*metav1.Table); ok && len(t.Rows) == 0 {
			fmt.Fprintln(g.env.Streams.ErrOut, emptyHint(info.Mapping.Resource.Resource))
			continue
		}
		if err := p.PrintObj(object, out); err != nil {
			return "", fmt.Errorf("printing: %w", err)
		}
	}
	return versionOf(infos), nil
}

// versionOf is the resourceVersion from which to watch; empty asks for everything again, where there is no single one.
func versionOf(infos []*resource.Info) string {
	if len(infos) != 1 {
		return ""
	}
	o, err := meta.CommonAccessor(infos[0].Object)
	if err != nil {
		return ""
	}
	return o.GetResourceVersion()
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

// follow shows changes until the context ends.
func (g *get) follow(ctx context.Context, result *resource.Result, version string, p printers.ResourcePrinter, table bool, out *tabwriter.Writer) error {
	w, err := result.Watch(version)
	if err != nil {
		return explain(err)
	}
	defer w.Stop()
	if table {
		p = printers.NewTablePrinter(printers.PrintOptions{Wide: g.output == "wide", NoHeaders: true, WithNamespace: g.all})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			if !open {
				return fmt.Errorf("the API server ended the watch; run the command again")
			}
			if e.Type == watch.Bookmark || e.Type == watch.Error {
				continue
			}
			object, err := decodeTable(e.Object)
			if err != nil {
				return err
			}
			if err := errors.Join(p.PrintObj(object, out), out.Flush()); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
		}
	}
}
