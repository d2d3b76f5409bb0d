package controlplane

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"ingot.dev/ingot/crds/manifests"
	"ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/config"
)

// objects is what every start applies, in order: the system namespace, what the controllers may do, CRDs and policies.
func objects() ([]*unstructured.Unstructured, error) {
	rights, err := controllerRights()
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, o := range append([]any{systemNamespace()}, rights...) {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, err
		}
		unstructured.RemoveNestedField(u, "status")
		unstructured.RemoveNestedField(u, "metadata", "creationTimestamp")
		all = append(all, &unstructured.Unstructured{Object: u})
	}
	embedded, err := manifests.Objects()
	return append(all, embedded...), err
}

func systemNamespace() any {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace},
	}
}

// controllerRights are what the group of Ingot's controllers may do, and no more: it is not system:masters. The rules are those of the
// ServiceAccount in a management cluster, and those that its operators bind namespace by namespace: here the one who makes namespaces runs the program too.
func controllerRights() ([]any, error) {
	everywhere, inSystemOnly, err := config.Rules()
	if err != nil {
		return nil, err
	}
	configs, err := config.SecretRules()
	everywhere = append(everywhere, configs...)
	return []any{
		&rbacv1.ClusterRole{TypeMeta: rbacType("ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: controllerGroup}, Rules: everywhere},
		&rbacv1.ClusterRoleBinding{
			TypeMeta: rbacType("ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: controllerGroup},
			RoleRef: roleRef("ClusterRole"), Subjects: controllerSubjects(),
		},
		&rbacv1.Role{TypeMeta: rbacType("Role"), ObjectMeta: inSystem(), Rules: inSystemOnly},
		&rbacv1.RoleBinding{TypeMeta: rbacType("RoleBinding"), ObjectMeta: inSystem(), RoleRef: roleRef("Role"), Subjects: controllerSubjects()},
	}, err
}

func rbacType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

func roleRef(kind string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: controllerGroup}
}

func controllerSubjects() []rbacv1.Subject {
	return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: controllerGroup}}
}

func inSystem() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: controllerGroup, Namespace: v1alpha1.SystemNamespace}
}
