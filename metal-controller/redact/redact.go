// Package redact takes out of lines of text what may be a secret: of what machines say of themselves, and of what goes into a bundle for support.
//
// It is pure and knows nobody. It goes by patterns, and rather takes out too much; a secret that looks like none is not known to it.
package redact

import (
	"regexp"
	"strings"
)

// What stands in the place of what is taken out, and of whole lines.
const (
	Hidden     = "[redacted]"
	HiddenLine = "[a line is not shown]"
	HiddenTalk = "[talos] [a line about its config is not shown: it may quote it]"
)

// MaxBlock is how many lines after the beginning of a PEM block are not shown when its end does not come.
const MaxBlock = 64

// rules take out what may be a secret, in this order. They rather take out too much.
var rules = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`-----BEGIN .*?(?:-----END [^-]*-----|$)`), Hidden},
	// Kernel arguments: addresses with capabilities, configs, credentials, and where it tells of itself.
	{regexp.MustCompile(`(?i)((?:talos\.(?:config|events|logging|environment)|siderolink|ingot)[\w.-]*)=(?:"[^"]*"|\S+)`), "$1=" + Hidden},
	{regexp.MustCompile(`/v1/(config|signal)\b[^\s"']*`), "/v1/$1/" + Hidden},
	{regexp.MustCompile(`://[^\s"']*@`), "://"},
	{regexp.MustCompile(`(://[^\s"'?#]*)[?#][^\s"']*`), "$1?" + Hidden},
	{regexp.MustCompile(`\?[^\s"'=]*=[^\s"']*`), "?" + Hidden},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[^\s"']+`), "$1 " + Hidden},
	{regexp.MustCompile(`(?i)((?:token|secret|passw(?:or)?d|passphrase|api_?key|private_?key)[\w-]*\\?["']?\s*[:=]\s*\\?["']?)[^\s"',}\\]+`), "${1}" + Hidden},
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), Hidden}, // a bootstrap token of Kubernetes, or of trustd
	{regexp.MustCompile(`[A-Za-z0-9+/_=%-]{41,}`), Hidden},
}

// Lines of Talos itself that may quote its config: they are about one and about something that went wrong.
var (
	aboutConfig = regexp.MustCompile(`(?i)config|yaml|marshal|decod|unknown key|document|manifest|patch`)
	wentWrong   = regexp.MustCompile(`(?i)error|fail|invalid|unknown|cannot|unable|not valid`)
)

// Redactor takes out of the lines of one connection what nobody must read who does not know it already. The zero value is ready; it is not safe for concurrent use.
type Redactor struct{ block int }

// Line is a line as it may be kept: printable ASCII without capabilities, configs, queries and credentials of addresses, keys and certificates, and long runs
// of what may be base64.
func (r *Redactor) Line(text string) string {
	text = strings.ReplaceAll(strings.Map(printable, text), `\/`, "/")
	if r.within(text) {
		return HiddenLine
	}
	if strings.Contains(text, "[talos]") && aboutConfig.MatchString(text) && wentWrong.MatchString(text) {
		return HiddenTalk
	}
	for _, rule := range rules {
		text = rule.pattern.ReplaceAllString(text, rule.instead)
	}
	return text
}

// within follows PEM blocks over several lines, and says that this one is of a block that began before.
func (r *Redactor) within(text string) bool {
	begin, end := strings.LastIndex(text, "-----BEGIN "), strings.LastIndex(text, "-----END ")
	inside := r.block > 0
	switch {
	case begin > end:
		r.block = MaxBlock
	case inside && end >= 0:
		r.block = 0
	case inside:
		r.block--
	}
	return inside
}

func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' '
	case r < ' ' || r > '~':
		return '_'
	}
	return r
}
