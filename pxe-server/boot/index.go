package boot

import "slices"

// Keys are what an identity can tell a machine apart by, each in one spelling. Two identities have something in common, as Resolve sees it, if and only if they have a key
// in common.
func Keys(id Identity) []string {
	e := evidenceOf(id)
	keys := make([]string, 0, len(e.macs)+2)
	for mac := range e.macs {
		keys = append(keys, ByMAC+" "+mac)
	}
	slices.Sort(keys)
	if e.serial != "" {
		keys = append(keys, BySerial+" "+e.serial)
	}
	if e.uuid != "" {
		keys = append(keys, ByUUID+" "+e.uuid)
	}
	return keys
}

// Index finds servers by their evidence: a question about one machine costs nothing for the thousands that it is not about.
type Index struct {
	servers []Server
	places  map[string][]int
}

// NewIndex reads the servers once. Nobody may change them afterwards.
func NewIndex(servers []Server) *Index {
	x := &Index{servers, make(map[string][]int, 3*len(servers))}
	for i, s := range servers {
		for _, key := range Keys(s.Identity) {
			x.places[key] = append(x.places[key], i)
		}
	}
	return x
}

// Sharing are the servers that have some evidence in common with a machine. Resolve says of these what it would say of all.
func (x *Index) Sharing(id Identity) []Server {
	var places []int
	for _, key := range Keys(id) {
		places = append(places, x.places[key]...)
	}
	slices.Sort(places)
	found := make([]Server, 0, len(places))
	for _, i := range slices.Compact(places) {
		found = append(found, x.servers[i])
	}
	return found
}
