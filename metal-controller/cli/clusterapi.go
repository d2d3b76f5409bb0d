package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

// surroundings are what decides how a cluster is made.
type surroundings struct {
	// served: Cluster API and the Talos providers' kinds are there. claims and cluster: a cluster of the name exists, made either way.
	served, claims, cluster bool
	// standAlone and endpoint are what the flags say.
	standAlone, endpoint bool
}

// way says whether a cluster is made by Cluster API, and what to tell of that. A cluster stays what it was made as. It is pure.
func way(name string, s surroundings) (clusterAPI bool, note string, err error) {
	switch {
	case s.claims && s.cluster:
		return false, "", refused("there are two clusters %s here, one of Cluster API and one without; delete one with kubectl", name)
	case s.cluster && s.standAlone:
		return false, "", refused("cluster %s exists as one of Cluster API; leave --stand-alone out to go on with it, or choose another name", name)
	case s.cluster:
		return true, "", nil
	case s.claims || s.standAlone || !s.served:
		return false, "", nil
	case !s.endpoint:
		return false, "without --endpoint it is made stand-alone: Cluster API replaces machines, and its endpoint has to outlive them", nil
	}
	return true, "", nil
}

// look reads the surroundings.
func (c *clusterCreate) look(ctx context.Context, api client.Client, namespace string) (s surroundings, err error) {
	s.standAlone, s.endpoint, s.served = c.standAlone, c.endpoint != "", true
	for _, kind := range []schema.GroupVersionKind{clusterKind, controlPlaneKind, configKind} {
		switch _, err := api.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); {
		case meta.IsNoMatchError(err):
			s.served = false
		case err != nil:
			return s, fmt.Errorf("looking for Cluster API: %w", explain(err))
		}
	}
	o, err := clusterObject(ctx, api, namespace, c.name)
	switch {
	case apierrors.IsForbidden(err): // who may not read them cannot make them either
		s.served = false
	case err != nil:
		return s, err
	}
	s.cluster = o != nil
	secret := &corev1.Secret{}
	err = api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: c.name + secretsSuffix}, secret)
	if client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("reading the Secret %s: %w", c.name+secretsSuffix, explain(err))
	}
	s.claims = err == nil && secret.Labels[metal.ClusterLabel] == c.name
	return s, nil
}

// clusterObject is the Cluster of a name; nil without one, and without Cluster API.
func clusterObject(ctx context.Context, api client.Client, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(clusterKind)
	err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	switch {
	case err == nil:
		return o, nil
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil, nil
	}
	return nil, fmt.Errorf("reading the Cluster %s: %w", name, explain(err))
}

// byClusterAPI makes the objects of Cluster API, or prints them.
func (c *clusterCreate) byClusterAPI(ctx context.Context, api client.WithWatch, namespace string, wanted []metal.ServerClaim) error {
	all, err := c.objects(ctx, api, namespace, wanted)
	if err != nil {
		return err
	}
	if c.output != "" {
		return c.print(all)
	}
	if c.dryRun {
		fmt.Fprintf(c.env.Streams.Out, "cluster/%s in %s would be made of %s by Cluster API, and take %s of class %s%s. Nothing was changed (dry run).\n",
			c.name, namespace, count(len(all), "object"), count(c.controlPlanes, "control plane"), c.class, c.alsoWorkers())
		return nil
	}
	for _, o := range all {
		if err := c.put(ctx, api, o); err != nil {
			return err
		}
	}
	if !c.wait {
		fmt.Fprintf(c.env.Streams.Out, "See how far it is: ingot cluster list -n %s, or clusterctl describe cluster %s -n %s\n", namespace, c.name, namespace)
		return nil
	}
	return c.available(ctx, api, namespace)
}

// objects are what the flags say. The endpoint of a cluster that exists is its own.
func (c *clusterCreate) objects(ctx context.Context, api client.Client, namespace string, wanted []metal.ServerClaim) ([]*unstructured.Unstructured, error) {
	o, err := clusterObject(ctx, api, namespace, c.name)
	if err != nil {
		return nil, err
	}
	switch was := endpointOf(o); {
	case was != "" && c.endpoint != "" && was != c.endpoint:
		return nil, refused("cluster %s exists with --endpoint %s, and a cluster is not changed so; say that to go on with it, or choose another name", c.name, was)
	case c.endpoint == "" && was == "":
		return nil, refused("cluster %s has no endpoint yet; name it with --endpoint https://HOST:6443", c.name)
	case was != "":
		c.endpoint = was
	}
	controlPlanes, workers := machines{count: c.controlPlanes}, machines{count: c.workers}
	for i := range wanted {
		if wanted[i].Labels[metal.ClusterRoleLabel] == string(taloscluster.ControlPlane) {
			controlPlanes.spec = wanted[i].Spec
		} else {
			workers.spec = wanted[i].Spec
		}
	}
	return clusterObjects(c.name, namespace, c.endpoint, c.talos, c.kubernetes, controlPlanes, workers)
}

// endpointOf is the URL that a Cluster names; empty when it names none.
func endpointOf(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	host, _, _ := unstructured.NestedString(o.Object, "spec", "controlPlaneEndpoint", "host")
	port, _, _ := unstructured.NestedInt64(o.Object, "spec", "controlPlaneEndpoint", "port")
	if host == "" || port == 0 {
		return ""
	}
	return "https://" + net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

// print prints objects as they would be applied. They hold no secret but what a patch does.
func (c *clusterCreate) print(all []*unstructured.Unstructured) error {
	var documents []string
	for _, o := range all {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		documents = append(documents, string(text))
	}
	_, err := fmt.Fprint(c.env.Streams.Out, strings.Join(documents, "---\n"))
	return err
}

// put makes an object. Of one that exists only the number of machines is raised.
func (c *clusterCreate) put(ctx context.Context, api client.Client, o *unstructured.Unstructured) error {
	what := strings.ToLower(o.GetKind()) + "/" + o.GetName()
	err := api.Create(ctx, o.DeepCopy())
	if err == nil {
		fmt.Fprintf(c.env.Streams.Out, "%s is made\n", what)
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making %s: %w; the same command again goes on with it", what, explain(err))
	}
	was := &unstructured.Unstructured{}
	was.SetGroupVersionKind(o.GroupVersionKind())
	if err := api.Get(ctx, client.ObjectKeyFromObject(o), was); err != nil {
		return fmt.Errorf("reading %s: %w", what, explain(err))
	}
	if was.GetLabels()[metal.ClusterLabel] != c.name {
		return refused("%s exists already, and `ingot cluster create` did not make it; choose another name for the cluster", what)
	}
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	now, _, _ := unstructured.NestedInt64(was.Object, "spec", "replicas")
	if n <= now {
		return nil
	}
	if err := api.Patch(ctx, was, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))); err != nil {
		return fmt.Errorf("raising the machines of %s: %w", what, explain(err))
	}
	fmt.Fprintf(c.env.Streams.Out, "%s has %d machines now, not %d\n", what, n, now)
	return nil
}

// available waits until Cluster API calls the Cluster Available.
func (c *clusterCreate) available(ctx context.Context, api client.WithWatch, namespace string) error {
	waiting, cancel := within(ctx, c.timeout)
	defer cancel()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(clusterKind.GroupVersion().WithKind("ClusterList"))
	last := "waiting for Cluster API; is it running?"
	var told []string
	err := watchOne(waiting, api, list, client.ObjectKey{Namespace: namespace, Name: c.name}, func(o client.Object) (bool, error) {
		now, ok := o.(*unstructured.Unstructured)
		if !ok || now.GetDeletionTimestamp() != nil {
			return true, fmt.Errorf("cluster/%s was deleted", c.name)
		}
		status, line := availability(now)
		if line != "" {
			last = line
			told = tell(c.env.Streams.ErrOut, "cluster/"+c.name, told, []string{line})
		}
		return status == "True", nil
	})
	if waiting.Err() != nil {
		return stoppedWaiting(ctx, c.timeout, "cluster/"+c.name, last, "clusterctl describe cluster "+c.name+" -n "+namespace)
	}
	if err == nil {
		fmt.Fprintf(c.env.Streams.Out, "cluster/%s is Available: %s%s\n  ingot cluster kubeconfig %s -n %s > %s.kubeconfig && kubectl --kubeconfig %s.kubeconfig get nodes\n",
			c.name, count(c.controlPlanes, "control plane"), c.alsoWorkers(), c.name, namespace, c.name, c.name)
	}
	return err
}

// availability is the condition Available of a Cluster, with one line of what it says.
func availability(o *unstructured.Unstructured) (status, line string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, x := range conditions {
		m, _ := x.(map[string]any)
		if m["type"] == "Available" {
			status, _ = m["status"].(string)
			message, _ := m["message"].(string)
			reason, _ := m["reason"].(string)
			return status, plain(strings.TrimSpace(reason + ": " + strings.Join(strings.Fields(message), " ")))
		}
	}
	return "", ""
}
