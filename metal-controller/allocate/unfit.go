package allocate

import (
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Limits of the API.
const (
	maxNames   = 10
	maxMessage = 512
)

// groups gather servers by why they cannot be had. There are fewer reasons than groups that the API takes.
type groups struct{ list []metal.Unfit }

// add counts a server under the first of its reasons. Servers come sorted by name, so the message is of the first.
func (g *groups) add(server string, obstacles []Reason) {
	reason := obstacles[0].Reason
	if !g.count(reason, server) {
		g.list = append(g.list, metal.Unfit{Reason: reason, Message: explain(server, obstacles), Count: 1, Servers: []string{server}})
	}
}

// count adds a server to its group, if there is one.
func (g *groups) count(reason, server string) bool {
	for i := range g.list {
		u := &g.list[i]
		if u.Reason != reason {
			continue
		}
		u.Count++
		if len(u.Servers) < maxNames {
			u.Servers = append(u.Servers, server)
		}
		return true
	}
	return false
}

// explain says all that is wrong with a server for its first reason.
func explain(server string, obstacles []Reason) string {
	var parts []string
	for _, o := range obstacles {
		if o.Reason == obstacles[0].Reason {
			parts = append(parts, o.Message)
		}
	}
	return Clip(server+": "+strings.Join(parts, "; "), maxMessage)
}

// Clip cuts a text to so many bytes, never within a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
