// Package store is the Kubernetes API of the simulator: a small typed store in memory with a client.Client over it. Layer 5, proof.
//
// It is for one goroutine and has no clock, randomness or waiting of its own, so a run is the same every time. Objects in it are never changed
// in place: each write makes a new object and shares what did not change, so a journal entry, a lagging view and a snapshot are pointers.
// What Peek, All, a Write or client.UnsafeDisableDeepCopy hand out is therefore shared: read it, never change it. That holds for the items of a list, too:
// a view hands out the same list of everything until it learns something.
//
// The contract suite (storetest) runs against this store and against a real API server. Where the store differs on purpose:
//   - Kinds: those of New, and only the metal API has schema, defaults, CEL rules and admission policies. Namespaces need not exist.
//   - managedFields are not kept; Apply, JSON patches, strategic merge patches, dry runs, orphaning and foreground deletion are refused.
//   - Items of lists have apiVersion and kind; from a real server those of built-in kinds have none.
//   - The garbage collector runs when CollectGarbage is called, and takes an owner of a foreign kind for present.
//   - Lists are sorted by namespace and name, those of a view too; an informer's are in no order. Continue tokens never expire.
//   - A status that nobody wrote and an empty one are the same; a real server counts the first write of an empty one as a change.
//   - Built-in kinds have no generation; a real server keeps what a client writes there. It also checks more of a typed Secret.
//   - UIDs are counted, not random. Error messages differ; their reasons do not.
//   - RBAC is not modelled: an identity is Ingot or it is not.
package store
