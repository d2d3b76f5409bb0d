package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "metal.ingot.dev", Version: "v1alpha1"}

// SystemNamespace holds BMC credentials and whatever else belongs to the installation rather than to a tenant.
const SystemNamespace = "ingot-system"

// ReleaseFinalizer keeps a ServerClaim until its server is proven not to run the workload any more.
const ReleaseFinalizer = "metal.ingot.dev/release"

// ClusterLabel names the cluster of a claim that `ingot cluster` made, without Cluster API; ClusterAPILabel is Cluster API's own.
const (
	ClusterLabel    = "metal.ingot.dev/cluster"
	ClusterAPILabel = "cluster.x-k8s.io/cluster-name"
)

// DeploymentLabel is Cluster API's own: the MachineDeployment that a machine is of.
const DeploymentLabel = "cluster.x-k8s.io/deployment-name"

// ClusterRoleLabel says what a claim of `ingot cluster`, or of a machine of Cluster API, is in its cluster: one of the roles below.
const (
	ClusterRoleLabel = "metal.ingot.dev/cluster-role"
	RoleControlPlane = "control-plane"
	RoleWorker       = "worker"
)

// LoseMemberAnnotation on a deleted claim is a person's word that its server need not leave the etcd of its cluster first. Its value is the id of the binding, so
// that it means nothing for another one.
const LoseMemberAnnotation = "metal.ingot.dev/lose-etcd-member"

// MoveAnnotation is clusterctl's on an object that goes on in another cluster, so its deletion here means nothing.
const MoveAnnotation = "clusterctl.cluster.x-k8s.io/delete-for-move"

// Annotations of a claim that belongs to a Cluster, on its way to another API server.
const (
	// BlockMoveAnnotation makes clusterctl wait: the claim's server is not let go yet.
	BlockMoveAnnotation = "clusterctl.cluster.x-k8s.io/block-move"
	// ClusterPausedAnnotation says that the claim's Cluster was seen paused. It only wakes who looks at the Cluster itself.
	ClusterPausedAnnotation = "metal.ingot.dev/cluster-paused"
)

// MoveLabel takes an object along with every move of clusterctl.
const MoveLabel = "clusterctl.cluster.x-k8s.io/move"

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Server{}, &ServerList{},
		&ServerInventory{}, &ServerInventoryList{},
		&ServerClass{}, &ServerClassList{},
		&ServerClaim{}, &ServerClaimList{},
		&Environment{}, &EnvironmentList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
