package capability

import "strings"

// Purposes of tokens.
const (
	forConfig = "config"
	forSignal = "signal"
)

// Paths that capabilities stand in: PREFIX/SERVER/BOOT-OR-BINDING/TOKEN.
const (
	ConfigPrefix = "/v1/config/"
	SignalPrefix = "/v1/signal/"
)

// Links makes the addresses with capabilities that machines get. What it makes is never logged.
type Links struct {
	Key Key
	// HTTPS and Plain are how machines reach the two ports, without a slash at the end. An empty one is not offered.
	HTTPS, Plain string
	// Early is EarlyTrust of the authority behind HTTPS; empty lets no Talos trust it.
	Early string
	// Events and KernelLog are where a Talos tells how it fares, each HOST:PORT over TCP. An empty one is not offered. They hold no capability: what comes there is a hint.
	Events, KernelLog string
}

// MaxLine bounds a kernel line, in bytes: x86 takes 2,048, and the boot server adds some of its own.
const MaxLine = 1920

// ConfigURL is where a boot fetches its machine config; plain lets it travel over plain HTTP, where that is offered. A boot is of one binding.
func (l Links) ConfigURL(server, boot string, plain bool) string {
	base := l.HTTPS
	if plain && l.Plain != "" {
		base = l.Plain
	}
	return base + ConfigPrefix + server + "/" + boot + "/" + l.Key.Token(forConfig, server, boot)
}

// SignalURL is where the system of a binding tells that it is installed, and runs.
func (l Links) SignalURL(server, binding string) string {
	return l.HTTPS + SignalPrefix + server + "/" + binding + "/" + l.Key.Token(forSignal, server, binding)
}

// OpensConfig says whether a token is that of a ConfigURL.
func (k Key) OpensConfig(token, server, boot string) bool {
	return k.Check(token, forConfig, server, boot)
}

// OpensSignal says whether a token is that of a SignalURL.
func (k Key) OpensSignal(token, server, binding string) bool {
	return k.Check(token, forSignal, server, binding)
}

// Placeholder is where an Environment wants the address of the machine config on its kernel line.
const Placeholder = "{config}"

// Args is the kernel line of a boot: the Environment's arguments with the address of its config, which is added where none of them names it, and the
// pin of the authority behind the HTTPS port. A Talos knows no pin: it gets Early where its config comes over HTTPS, unless the Environment has an early
// config of its own, which then must hold that trust; and BootArg.
func (l Links) Args(args []string, server, boot string, plain bool, pin string) []string {
	link := l.ConfigURL(server, boot, plain)
	out, named := make([]string, 0, len(args)+2), false
	for _, a := range args {
		named = named || strings.Contains(a, Placeholder)
		out = append(out, strings.ReplaceAll(a, Placeholder, link))
	}
	if hasArg(args, TalosConfig) {
		return l.telling(append(l.trusting(out, link), BootArg+"="+boot), link)
	}
	if !named {
		out = append(out, "ingot.config="+link)
	}
	return append(out, "ingot.pin="+pin)
}

// trusting adds Early where it is of use.
func (l Links) trusting(args []string, link string) []string {
	if l.Early == "" || !strings.HasPrefix(link, "https://") || hasArg(args, talosEarly) {
		return args
	}
	return append(args, l.Early)
}

// telling adds what lets a Talos tell how it fares, unless the Environment says where, or the line would be too long. The kernel's log begins with this very
// line, and travels in the clear: where the config's link is not to be read on the way, the log waits until the config, which names its port too, has left.
func (l Links) telling(args []string, link string) []string {
	tells := []struct{ name, value string }{{talosEvents, l.Events}}
	if !strings.HasPrefix(link, "https://") {
		tells = append(tells, struct{ name, value string }{talosKernelLog, l.KernelLogURL()})
	}
	for _, a := range tells {
		if a.value != "" && !hasArg(args, a.name) && len(strings.Join(args, " "))+len(" "+a.name+a.value) <= MaxLine {
			args = append(args, a.name+a.value)
		}
	}
	return args
}

// KernelLogURL is KernelLog as a Talos takes it; empty when there is none. Talos sends its log twice to two addresses that are not written alike.
func (l Links) KernelLogURL() string {
	if l.KernelLog == "" {
		return ""
	}
	return "tcp://" + l.KernelLog
}
