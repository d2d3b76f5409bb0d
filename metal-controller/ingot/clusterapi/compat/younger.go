package compat

import "k8s.io/apimachinery/pkg/version"

// younger says whether a version of an API comes after all that are known, by Kubernetes' order of versions (v1alpha1 < v1beta1 < v1 < v2).
func younger(v string, known []string) bool {
	for _, k := range known {
		if version.CompareKubeAwareVersionStrings(v, k) <= 0 {
			return false
		}
	}
	return true
}
