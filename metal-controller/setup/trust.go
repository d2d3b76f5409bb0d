package setup

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/ledger"
)

// Names of what the installation keeps in the system namespace.
const (
	installationName = "ingot-installation"
	agentCAName      = "ingot-agent-ca"
	pxeCAName        = "ingot-pxe-ca"
	configKeyName    = "ingot-config-key"
)

// trust is what makes this installation itself.
type trust struct {
	installation string
	agent, pxe   *authority.Authority
	erase        *erase.Signer
	config       capability.Key
	early        string // lets a Talos trust agent
}

// loadTrust reads the installation's id and authorities, and makes what is missing. Replicas that start at once agree: the first to create wins,
// the others read. A Secret that is damaged is an error and is never replaced: replacing it would lock out every agent that pins it.
func loadTrust(ctx context.Context, cfg Config, scheme *runtime.Scheme) (trust, error) {
	c, err := client.New(cfg.REST, client.Options{Scheme: scheme})
	if err != nil {
		return trust{}, fmt.Errorf("making a client: %w", err)
	}
	if err := ensureNamespace(ctx, c); err != nil {
		return trust{}, err
	}
	id, err := installationID(ctx, c, cfg.Random)
	if err != nil {
		return trust{}, err
	}
	t := trust{installation: id}
	if t.agent, err = loadAuthority(ctx, c, cfg, agentCAName); err != nil {
		return trust{}, err
	}
	if t.pxe, err = loadAuthority(ctx, c, cfg, pxeCAName); err != nil {
		return trust{}, err
	}
	if t.config, err = configKey(ctx, c, cfg.Random); err != nil {
		return trust{}, err
	}
	if t.early, err = capability.EarlyTrust(t.agent.DER()); err != nil {
		return trust{}, err
	}
	t.erase, err = ledger.Key(ctx, c, cfg.Random)
	return t, err
}

// configKey is what capabilities for machine configs and signals are made with. A damaged one is never replaced: running systems hold capabilities of it.
func configKey(ctx context.Context, c client.Client, random io.Reader) (capability.Key, error) {
	b := make([]byte, capability.KeySize)
	if _, err := io.ReadFull(random, b); err != nil {
		return capability.Key{}, fmt.Errorf("drawing a key for capabilities: %w", err)
	}
	s := &corev1.Secret{ObjectMeta: meta(configKeyName), Data: map[string][]byte{"key": b}}
	if err := readOrCreate(ctx, c, s); err != nil {
		return capability.Key{}, err
	}
	key, err := capability.NewKey(s.Data["key"])
	if err != nil {
		return capability.Key{}, fmt.Errorf("the Secret %s in %s is damaged, restore it from a backup: %w", configKeyName, metal.SystemNamespace, err)
	}
	return key, nil
}

func ensureNamespace(ctx context.Context, c client.Client) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metal.SystemNamespace}}
	err := c.Get(ctx, client.ObjectKeyFromObject(ns), ns)
	if apierrors.IsNotFound(err) {
		err = c.Create(ctx, ns)
	}
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("looking for the namespace %s: %w; rights and namespace come with kubectl apply --server-side -f metal-controller/config", metal.SystemNamespace, err)
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the namespace %s: %w", metal.SystemNamespace, err)
	}
	return nil
}

// idForm keeps a damaged id out of certificates and records.
var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// installationID is 16 random bytes in hexadecimal. It is no secret; it is kept as one since the controller may read nothing else by name there.
// It lives beside the Servers, so that a backup of one is a backup of the other.
func installationID(ctx context.Context, c client.Client, random io.Reader) (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("drawing an installation id: %w", err)
	}
	s := &corev1.Secret{ObjectMeta: meta(installationName), Data: map[string][]byte{"id": []byte(hex.EncodeToString(b))}}
	if err := readOrCreate(ctx, c, s); err != nil {
		return "", err
	}
	id := string(s.Data["id"])
	if !idForm.MatchString(id) {
		return "", fmt.Errorf("the Secret %s in %s has no id of 32 hexadecimal digits: restore it from a backup", installationName, metal.SystemNamespace)
	}
	return id, nil
}

func loadAuthority(ctx context.Context, c client.Client, cfg Config, name string) (*authority.Authority, error) {
	cert, key, err := authority.New(name, cfg.Now(), cfg.Random)
	if err != nil {
		return nil, err
	}
	s := &corev1.Secret{ObjectMeta: meta(name), Type: corev1.SecretTypeTLS, Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}}
	if err := readOrCreate(ctx, c, s); err != nil {
		return nil, err
	}
	a, err := authority.Parse(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("the Secret %s in %s is damaged, restore it from a backup: %w", name, metal.SystemNamespace, err)
	}
	return a, nil
}

// readOrCreate fills object from the API server, or creates it as it is. Whoever creates first wins.
func readOrCreate(ctx context.Context, c client.Client, object client.Object) error {
	kind := fmt.Sprintf("%T %s", object, object.GetName())
	fresh := object.DeepCopyObject().(client.Object)
	err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
	if !apierrors.IsNotFound(err) {
		return wrap("reading "+kind, err)
	}
	err = c.Create(ctx, fresh)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return wrap("creating "+kind, err)
	}
	return wrap("reading "+kind, c.Get(ctx, client.ObjectKeyFromObject(object), object))
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}
}
