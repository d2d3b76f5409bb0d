package signals

import "ingot.dev/ingot/metal-controller/redact"

// Redactor takes out of the lines of one connection what nobody must read who does not know it already.
type Redactor = redact.Redactor
