package agentserver

import (
	"crypto"
	"crypto/x509"
	"net/url"

	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/authority"
)

// requestedKey is the key of a certificate request, and its fingerprint; the caller is told what is wrong with it.
func requestedKey(der []byte) (crypto.PublicKey, string, error) {
	key, err := claims.Key(der)
	if err != nil {
		return nil, "", refuse(codeInvalid, "", err.Error())
	}
	spki, err := x509.MarshalPKIXPublicKey(key) // as the certificate will say it, whatever encoding the request chose
	if err != nil {
		return nil, "", refuse(codeInvalid, "", "the key has no encoding")
	}
	return key, claims.Fingerprint(spki), nil
}

// sign issues a certificate for one boot of one server: client authentication only, for an hour.
func (s *Server) sign(key crypto.PublicKey, server, bootID string) ([]byte, error) {
	der, err := s.cfg.Authority.Sign(key, agentLeaf(s.subject(server, bootID), server), s.cfg.Now(), s.cfg.Random)
	if err != nil {
		return nil, s.internal("signing a certificate", err)
	}
	return der, nil
}

// agentLeaf is what an agent's certificate says.
func agentLeaf(subject *url.URL, server string) authority.Leaf {
	return authority.Leaf{CommonName: server, URI: subject, Usage: x509.ExtKeyUsageClientAuth, Valid: certificateLifetime}
}
