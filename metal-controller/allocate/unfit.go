package allocate

import (
	"slices"
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
	i := slices.IndexFunc(g.list, func(u metal.Unfit) bool { return u.Reason == reason })
	if i < 0 {
		i = len(g.list)
		g.list = append(g.list, metal.Unfit{Reason: reason, Message: explain(server, obstacles)})
	}
	u := &g.list[i]
	u.Count++
	if len(u.Servers) < maxNames {
		u.Servers = append(u.Servers, server)
	}
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
