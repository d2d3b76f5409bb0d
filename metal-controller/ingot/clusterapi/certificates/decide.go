package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Lives of certificates; the default is cert-manager's.
const (
	defaultLife = 90 * 24 * time.Hour
	shortest    = time.Hour
	longest     = 365 * 24 * time.Hour
)

// Reasons of the condition Ready.
const (
	reasonReady   = "Ready"
	reasonInvalid = "Invalid"
	reasonTaken   = "SecretExists"
)

// owner is the annotation of a Secret that names the Certificate it belongs to; cert-manager's name for it.
const owner = "cert-manager.io/certificate-name"

// Key of the authority in a Secret, as cert-manager has it.
const caKey = "ca.crt"

// wanted is what a Certificate asks for.
type wanted struct {
	secret string
	names  []string
	life   time.Duration
}

// read reads what a Certificate asks for, or says what is wrong with it.
func read(o *unstructured.Unstructured) (w wanted, problem string) {
	w.secret, _, _ = unstructured.NestedString(o.Object, "spec", "secretName")
	w.names, _, _ = unstructured.NestedStringSlice(o.Object, "spec", "dnsNames")
	duration, _, _ := unstructured.NestedString(o.Object, "spec", "duration")
	switch {
	case w.secret == "":
		return w, "spec.secretName is empty"
	case len(w.names) == 0:
		return w, "spec.dnsNames is empty: Ingot signs names only"
	}
	for _, name := range w.names {
		if !inNamespace(name, o.GetNamespace()) {
			return w, fmt.Sprintf("%.100q is no name of a Service in this namespace: Ingot signs SERVICE.%s.svc and SERVICE.%s.svc.cluster.local only", name, o.GetNamespace(), o.GetNamespace())
		}
	}
	if w.life = defaultLife; duration != "" {
		var err error
		if w.life, err = time.ParseDuration(duration); err != nil || w.life < shortest || w.life > longest {
			return w, fmt.Sprintf("spec.duration %.40q: give hours, from %s to %s", duration, shortest, longest)
		}
	}
	return w, ""
}

// inNamespace says whether a DNS name is that of a Service in a namespace.
func inNamespace(name, namespace string) bool {
	service, ok := strings.CutSuffix(strings.TrimSuffix(name, ".cluster.local"), "."+namespace+".svc")
	return ok && service != "" && !strings.ContainsAny(service, ".*")
}

// renewal is when a Secret's certificate has to be renewed: at once, the zero time, when it is not what is wanted.
func renewal(s *corev1.Secret, w wanted, bundle []byte) (renew, end time.Time) {
	if !bytes.Equal(s.Data[caKey], bundle) {
		return renew, end
	}
	return stillGood(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey], w, bundle)
}

// stillGood is when a certificate has to be renewed, and when it ends; the zero time when it is not what is wanted.
func stillGood(cert, key []byte, w wanted, bundle []byte) (renew, end time.Time) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return renew, end
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: pair.Leaf.NotBefore}); err != nil || !slices.Equal(pair.Leaf.DNSNames, w.names) {
		return renew, end
	}
	end = pair.Leaf.NotAfter
	return end.Add(-min(w.life, end.Sub(pair.Leaf.NotBefore)) / 3), end
}

// foreign says that a Secret belongs to somebody else.
func foreign(s *corev1.Secret, certificate string) bool { return s.Annotations[owner] != certificate }

// Renewal is when a certificate for these names has to be renewed: at once, the zero time, when it is not for them, has another key, or is of another authority.
func Renewal(cert, key []byte, names []string, bundle []byte) time.Time {
	renew, _ := stillGood(cert, key, wanted{names: names, life: longest}, bundle)
	return renew
}
