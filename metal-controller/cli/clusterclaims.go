package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

// wanted are the claims of the cluster, the first control plane first.
func (c *clusterCreate) wanted(namespace string) ([]metal.ServerClaim, error) {
	var all []metal.ServerClaim
	for _, group := range []struct {
		role  taloscluster.Role
		short string
		n     int
		class string
	}{
		{taloscluster.ControlPlane, "cp", c.controlPlanes, c.class},
		{taloscluster.Worker, "worker", c.workers, cmp.Or(c.workerClass, c.class)},
	} {
		patches, err := readPatches(append(append([]string{}, c.common...), *c.patches[group.role]...))
		if err != nil {
			return nil, err
		}
		for i := range group.n {
			name := fmt.Sprintf("%s-%s-%d", c.name, group.short, i+1)
			all = append(all, metal.ServerClaim{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{metal.ClusterLabel: c.name, metal.ClusterRoleLabel: string(group.role)}},
				Spec:       metal.ServerClaimSpec{ClassName: group.class, EnvironmentName: c.environment, ConfigSecret: name + "-config", Patches: patches},
			})
		}
	}
	return all, nil
}

// allowed refuses what could never be, before anything is made, and learns what the classes and the Environment say.
func (c *clusterCreate) allowed(ctx context.Context, api client.Client, wanted []metal.ServerClaim) error {
	seen := map[string]*metal.ServerClass{}
	for i := range wanted {
		w := &wanted[i]
		class, known := seen[w.Spec.ClassName]
		if !known {
			probe := w.DeepCopy()
			probe.Spec.ConfigSecret = "" // it is ours, and made later
			if err := (&claim{env: c.env}).check(ctx, api, probe); err != nil {
				return err
			}
			var err error
			if class, err = read(ctx, api, &metal.ServerClass{}, client.ObjectKey{Name: w.Spec.ClassName}, "--class says"); err != nil {
				return err
			}
			seen[w.Spec.ClassName] = class
		}
		if class != nil && class.Spec.InstallDisk == nil { // what Talos' generator leaves out, Talos refuses
			w.Spec.InstallDisk = &metal.InstallDisk{Prefer: metal.PreferSmallest}
		}
	}
	return c.release(ctx, api, seen[c.class])
}

// release finds the version of Talos that the Environment boots, when nobody named one.
func (c *clusterCreate) release(ctx context.Context, api client.Client, class *metal.ServerClass) error {
	name := c.environment
	if name == "" && class != nil && class.Spec.EnvironmentRef != nil {
		name = class.Spec.EnvironmentRef.Name
	}
	if c.talos == "" && name != "" {
		env, err := read(ctx, api, &metal.Environment{}, client.ObjectKey{Name: name}, "--environment says")
		if err != nil {
			return err
		}
		if env != nil && env.Spec.Talos != nil {
			c.talos = env.Spec.Talos.Version
		}
	}
	c.talos = cmp.Or(c.talos, taloscheck.Version)
	return nil
}

// secrets reads the cluster's secrets, or makes them.
func (c *clusterCreate) secrets(ctx context.Context, api client.Client, namespace string) (*cluster, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: c.name + secretsSuffix, Namespace: namespace, Labels: map[string]string{metal.ClusterLabel: c.name}}}
	err := api.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if apierrors.IsNotFound(err) {
		return c.newSecrets(ctx, api, secret)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Secret %s: %w", secret.Name, explain(err))
	}
	was, err := parseCluster(secret, c.name, c.env.Now())
	if err != nil {
		return nil, err
	}
	for _, v := range []struct{ flag, now, was string }{
		{"--endpoint", cmp.Or(c.endpoint, was.plan.Endpoint), cmp.Or(was.plan.Endpoint, c.endpoint)},
		{"--talos-version", c.talos, was.plan.TalosVersion},
		{"--kubernetes-version", c.kubernetes, was.plan.KubernetesVersion},
	} {
		if v.now != v.was {
			return nil, refused("cluster %s exists with %s %s, and a cluster is not changed so; say %s %s to go on with it, or choose another name", c.name, v.flag, v.was, v.flag, v.was)
		}
	}
	fmt.Fprintf(c.env.Streams.Out, "cluster/%s in %s exists; going on with it\n", c.name, namespace)
	return was, nil
}

func (c *clusterCreate) newSecrets(ctx context.Context, api client.Client, secret *corev1.Secret) (*cluster, error) {
	made := &cluster{name: c.name, namespace: secret.Namespace, secret: secret, plan: clusterPlan{Endpoint: c.endpoint, TalosVersion: c.talos, KubernetesVersion: c.kubernetes}}
	var err error
	if made.secrets, err = taloscluster.New(made.spec(), c.env.Now()); err != nil {
		return nil, err
	}
	bundle, err := made.secrets.Bytes()
	if err != nil {
		return nil, err
	}
	secret.Data = map[string][]byte{bundleKey: bundle}
	if err := made.write(ctx, creates(api)); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.env.Streams.Out, "secret/%s holds the secrets of cluster/%s in %s\n", secret.Name, c.name, secret.Namespace)
	return made, nil
}

// creates and updates are ways to write an object.
func creates(api client.Client) func(context.Context, client.Object) error {
	return func(ctx context.Context, o client.Object) error { return api.Create(ctx, o) }
}

func updates(api client.Client) func(context.Context, client.Object) error {
	return func(ctx context.Context, o client.Object) error { return api.Update(ctx, o) }
}

// write writes the plan down, with what makes or changes an object.
func (c *cluster) write(ctx context.Context, put func(context.Context, client.Object) error) error {
	data, err := json.Marshal(c.plan)
	if err != nil {
		return fmt.Errorf("writing the plan of cluster %s: %w", c.name, err)
	}
	c.secret.Data[planKey] = data
	if err := put(ctx, c.secret); err != nil {
		return fmt.Errorf("writing the Secret %s: %w", c.secret.Name, explain(err))
	}
	return nil
}

// claims makes what is missing of the claims and their machine configs. The first claim is made before all configs, which may have to name its server's address,
// and noted as the founder before it gets one: it begins nothing without.
func (c *clusterCreate) claims(ctx context.Context, api client.WithWatch, made *cluster, wanted []metal.ServerClaim) ([]metal.ServerClaim, error) {
	have, err := members(ctx, api, made.namespace, c.name)
	if err != nil {
		return nil, err
	}
	if err := c.founder(ctx, api, made, &wanted[0], have); err != nil {
		return nil, err
	}
	if err := c.settleEndpoint(ctx, api, made, &wanted[0]); err != nil {
		return nil, err
	}
	for i := range wanted {
		if i > 0 {
			if err := c.claim(ctx, api, &wanted[i], have); err != nil {
				return nil, err
			}
		}
		if err := c.config(ctx, api, made, &wanted[i]); err != nil {
			return nil, err
		}
	}
	return wanted, c.keep(ctx, api, made)
}

// claim makes one claim, or takes the one that exists.
func (c *clusterCreate) claim(ctx context.Context, api client.Client, wanted *metal.ServerClaim, have []metal.ServerClaim) error {
	if was := named(have, wanted.Name); was != nil {
		*wanted = *was
		return nil
	}
	err := api.Create(ctx, wanted)
	if apierrors.IsAlreadyExists(err) {
		return refused("%s exists already and does not belong to cluster %s; choose another name for the cluster", claimName(wanted), c.name)
	}
	if err != nil {
		return fmt.Errorf("making %s: %w; the same command again goes on with it", claimName(wanted), explain(err))
	}
	fmt.Fprintf(c.env.Streams.Out, "%s takes %s\n", claimName(wanted), describe(wanted))
	return nil
}

func named(have []metal.ServerClaim, name string) *metal.ServerClaim {
	for i := range have {
		if have[i].Name == name {
			return &have[i]
		}
	}
	return nil
}

// founder makes the first claim, and notes that this very claim begins etcd. When the one that did is gone, none ever does again.
func (c *clusterCreate) founder(ctx context.Context, api client.Client, made *cluster, wanted *metal.ServerClaim, have []metal.ServerClaim) error {
	exists := named(have, wanted.Name) != nil
	switch {
	case !exists && made.plan.Founder == "":
		wanted.Spec.BootstrapEtcd = true
	case !exists && controlPlanes(have) == 0:
		return refused("the control planes of cluster %s are gone, and its data with them, so nothing can go on: `ingot cluster delete %s -n %s`, and create it again", c.name, c.name, made.namespace)
	}
	if err := c.claim(ctx, api, wanted, have); err != nil {
		return err
	}
	if made.plan.Founder != "" || !wanted.Spec.BootstrapEtcd {
		return nil
	}
	made.plan.Founder = wanted.UID
	return made.write(ctx, updates(api))
}

func controlPlanes(have []metal.ServerClaim) (n int) {
	for i := range have {
		if have[i].Labels[metal.ClusterRoleLabel] == string(taloscluster.ControlPlane) {
			n++
		}
	}
	return n
}

// settleEndpoint waits until the server of the first control plane is known, when nobody named an endpoint, and takes its address.
func (c *clusterCreate) settleEndpoint(ctx context.Context, api client.WithWatch, made *cluster, first *metal.ServerClaim) error {
	switch {
	case made.plan.Endpoint != "":
		return nil
	case c.endpoint != "":
		made.plan.Endpoint = c.endpoint
		return made.write(ctx, updates(api))
	}
	left, err := c.left("the server of " + claimName(first))
	if err != nil {
		return err
	}
	waiting, cancel := within(ctx, left)
	defer cancel()
	var told []string
	last := first
	err = watchOne(waiting, api, &metal.ServerClaimList{}, client.ObjectKeyFromObject(first), func(o client.Object) (bool, error) {
		now, ok := o.(*metal.ServerClaim)
		if !ok || now.UID != first.UID || now.DeletionTimestamp != nil {
			return true, fmt.Errorf("%s was deleted", claimName(first))
		}
		last = now
		told = tell(c.env.Streams.ErrOut, "claim/"+now.Name, told, claimStages(now))
		a, found := address(now.Status.Addresses)
		if found && now.Spec.Binding != nil {
			made.plan.Endpoint = taloscluster.Endpoint(a)
			return true, nil
		}
		return false, nil
	})
	switch {
	case err != nil && waiting.Err() != nil:
		printUnfit(c.env.Streams.ErrOut, last.Status.Unfit)
		return stoppedWaiting(ctx, left, "the server of "+claimName(first), claimStages(last)[0], lookAt(first))
	case err != nil:
		return err
	}
	fmt.Fprintf(c.env.Streams.Out, "cluster/%s has the endpoint %s, the address of %s: let its DHCP server keep that\n", c.name, made.plan.Endpoint, last.Spec.Binding.Server)
	return made.write(ctx, updates(api))
}

// config makes the machine config of a claim, when there is none yet.
func (c *clusterCreate) config(ctx context.Context, api client.Client, made *cluster, wanted *metal.ServerClaim) error {
	secret := &corev1.Secret{}
	err := api.Get(ctx, client.ObjectKey{Namespace: wanted.Namespace, Name: wanted.Spec.ConfigSecret}, secret)
	switch {
	case err == nil && owns(secret, func(o metav1.OwnerReference) bool { return o.UID == wanted.UID }):
		return nil
	case err == nil && owns(secret, func(o metav1.OwnerReference) bool { return o.Kind == "ServerClaim" && o.Name == wanted.Name }):
		// That of an earlier claim of this name, which the garbage collector comes for later.
		if err := api.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting the Secret %s of an earlier claim: %w", secret.Name, explain(err))
		}
	case err == nil:
		return refused("the Secret %s exists already and is not that of %s; delete or rename it, and run the same command again", secret.Name, claimName(wanted))
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading the Secret %s: %w", wanted.Spec.ConfigSecret, explain(err))
	}
	data, err := made.secrets.Config(made.spec(), taloscluster.Role(wanted.Labels[metal.ClusterRoleLabel]))
	if err != nil {
		return err
	}
	if err := api.Create(ctx, configSecret(wanted, data)); err != nil {
		return fmt.Errorf("making the Secret %s: %w; the same command again goes on with it", wanted.Spec.ConfigSecret, explain(err))
	}
	return nil
}

// owns says that an owner of a Secret is one that is looked for.
func owns(secret *corev1.Secret, is func(metav1.OwnerReference) bool) bool {
	return slices.ContainsFunc(secret.OwnerReferences, is)
}

// keep lets the cluster's Secrets go with the last of its claims, and makes the talosconfig, which Ingot asks its machines with.
func (c *clusterCreate) keep(ctx context.Context, api client.Client, made *cluster) error {
	all, err := members(ctx, api, made.namespace, c.name)
	if err != nil {
		return err
	}
	made.secret.OwnerReferences = owners(all)
	if err := made.write(ctx, updates(api)); err != nil {
		return err
	}
	u, err := url.Parse(made.plan.Endpoint)
	if err != nil {
		return fmt.Errorf("reading the endpoint of cluster %s: %w", c.name, err)
	}
	file, err := made.secrets.Talosconfig(made.spec(), []string{u.Hostname()})
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: c.name + talosconfigSuffix, Namespace: made.namespace, Labels: map[string]string{metal.ClusterLabel: c.name}, OwnerReferences: owners(all)},
		Data:       map[string][]byte{talosconfigKey: file},
	}
	err = api.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return c.keepOld(ctx, api, secret)
	}
	if err != nil {
		return fmt.Errorf("making the Secret %s: %w; the same command again goes on with it", secret.Name, explain(err))
	}
	return nil
}

// keepOld lets a talosconfig that exists go with the claims that there are now.
func (c *clusterCreate) keepOld(ctx context.Context, api client.Client, wanted *corev1.Secret) error {
	was := &corev1.Secret{}
	if err := api.Get(ctx, client.ObjectKeyFromObject(wanted), was); err != nil {
		return fmt.Errorf("reading the Secret %s: %w", wanted.Name, explain(err))
	}
	if was.Labels[metal.ClusterLabel] != c.name {
		return refused("the Secret %s exists already and is not one that `ingot cluster create` made; delete or rename it, and run the same command again", was.Name)
	}
	was.OwnerReferences = wanted.OwnerReferences
	if err := api.Update(ctx, was); err != nil {
		return fmt.Errorf("writing the Secret %s: %w", was.Name, explain(err))
	}
	return nil
}
