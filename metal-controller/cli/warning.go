package cli

import (
	"fmt"
	"io"
	"regexp"
)

// policyPrefix is what the API server puts before the message of an admission policy; it says nothing to a person.
var policyPrefix = regexp.MustCompile(`^Validation failed for ValidatingAdmissionPolicy '[^']*' with binding '[^']*': `)

// warnings shows the API server's warnings (RFC 7234 section 5.5, code 299) as kubectl does, without the policy's name.
type warnings struct{ out io.Writer }

// HandleWarningHeader implements rest.WarningHandler.
func (w warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		fmt.Fprintln(w.out, "Warning:", policyPrefix.ReplaceAllString(text, ""))
	}
}
