package erase

import "fmt"

// Names in the system namespace.
const (
	// KeyName is the Secret with the private key, and the ConfigMap with the public one.
	KeyName = "ingot-erase-key"
	// PrivateKeyField of that Secret holds PKCS #8 in PEM.
	PrivateKeyField = "key.pem"
	// PublicKeyField of that ConfigMap holds the public key in PEM; FingerprintField its fingerprint.
	PublicKeyField = "public.pem"
	// FingerprintField holds the SHA-256 of the public key (SPKI, DER), lower-case hexadecimal.
	FingerprintField = "sha256"
	// EnvelopeField of a record's ConfigMap holds the signed envelope, as Verify takes it.
	EnvelopeField = "envelope.json"
)

// Labels of a record's ConfigMap.
const (
	// LabelServer is the name of the Server.
	LabelServer = "metal.ingot.dev/server"
	// LabelWipe is the Turn of the wipe.
	LabelWipe = "metal.ingot.dev/wipe"
)

// Turn names one generation of a wipe: the wipe's id, and the generation with it from the second on. Each has its own receipt, and may have other disks.
func Turn(wipeID string, generation int64) string {
	if generation == 1 {
		return wipeID
	}
	return fmt.Sprintf("%s-%d", wipeID, generation)
}

// Name of the ConfigMap that holds the record of a Turn.
func Name(server, turn string) string { return "erase-" + server + "-" + turn }
