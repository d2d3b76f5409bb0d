package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/boot-assets/catalog"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// Names of what the story declares.
const (
	storyEnvironment = "testos"
	storyClass       = "lab"
	storyClaim       = "demo"
)

// storyConfig is the machine config of the test OS: it installs itself on the largest disk and tells every ten seconds that it runs.
const storyConfig = "apiVersion: test.ingot.dev/v1\nkind: TestOS\ndisk: largest\neverySeconds: 10\n"

// story leads one server from registered to Running, by the commands that a person would type, and shows each of them.
type story struct {
	program, kubeconfig, dir, server string
	// say shows a line; run runs a command and returns all that it printed.
	say func(line string)
	run func(ctx context.Context, args ...string) (string, error)
}

// tell plays the story. A command that fails ends it, with what it said.
func (s *story) tell(ctx context.Context) error {
	config := filepath.Join(s.dir, "demo.yaml")
	if err := os.WriteFile(config, []byte(storyConfig), 0o600); err != nil {
		return fmt.Errorf("writing the machine config of the story: %w", err)
	}
	for _, step := range [][]string{
		{"accept", s.server, "--wipe-data", "--yes", "--wait"},
		{"claim", storyClaim, "--class", storyClass, "--server", s.server, "--config", config, "--wait"},
	} {
		s.say("$ ingot " + strings.Join(step, " "))
		if out, err := s.run(ctx, step...); err != nil && ctx.Err() == nil {
			return fmt.Errorf("ingot %s: %w\n%s", strings.Join(step, " "), err, strings.TrimSpace(out))
		}
	}
	return nil
}

// command runs this program as a person would.
func (s *story) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// declareStory writes down what the story boots and who may have it. The files come from base, a URL.
func declareStory(ctx context.Context, c client.Client, m catalog.Manifest, base string) error {
	asset := func(name string) *metal.Asset { return &metal.Asset{URL: base + name, SHA256: m.Files[name].SHA256} }
	env := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: storyEnvironment}}
	env.Spec.Boot = []metal.BootAssets{{
		Arch: catalog.AMD64, Kernel: asset(catalog.Kernel), Initramfs: asset(catalog.Initramfs), Args: append(m.KernelArgs, strings.Fields(rack.KernelArgs())...),
	}}
	class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: storyClass}}
	class.Spec.AllowedNamespaces = &metal.NamespaceSelection{All: true}
	class.Spec.EnvironmentRef = &metal.NameRef{Name: storyEnvironment}
	for _, o := range []client.Object{env, class} {
		if err := createOrUpdate(ctx, c, o); err != nil {
			return fmt.Errorf("declaring what the lab boots: %w", err)
		}
	}
	return nil
}

// createOrUpdate brings an object of an earlier run up to date.
func createOrUpdate(ctx context.Context, c client.Client, o client.Object) error {
	err := c.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, _ := o.DeepCopyObject().(client.Object)
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), old); err != nil {
		return err
	}
	o.SetResourceVersion(old.GetResourceVersion())
	return c.Update(ctx, o)
}
