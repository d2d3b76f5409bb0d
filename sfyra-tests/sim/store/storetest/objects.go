package storetest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// odd is a time that no API keeps as it is.
var odd = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("east", 3600))

func (w *world) server(short string) *metal.Server {
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: w.name(short), Labels: map[string]string{"test": w.Namespaces[0]}}}
}

func (w *world) inventory(short string) *metal.ServerInventory {
	return &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: w.name(short)}, Spec: metal.ServerInventorySpec{Arch: "amd64"}}
}

func (w *world) claim(short string) *metal.ServerClaim {
	return &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Name: short, Namespace: w.Namespaces[0]}, Spec: metal.ServerClaimSpec{ClassName: "small"}}
}

func (w *world) secret(short string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: short, Namespace: w.Namespaces[0]}, Data: map[string][]byte{"a": []byte("1")}}
}

func (w *world) configMap(namespace, short string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: short, Namespace: namespace, Labels: map[string]string{"app": short}}, Data: map[string]string{"a": "1"}}
}

func condition(kind, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: "True", Reason: "Because", Message: message, LastTransitionTime: metav1.NewTime(odd)}
}
