package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

// newSigner makes the key that signs service account tokens.
func newSigner() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making service account key: %w", err)
	}
	return keyPEM(key)
}

func checkSigner(data []byte) error {
	_, err := parseKey(data)
	return err
}

// newEncryption makes the API server's encryption configuration: Secrets are sealed with XSalsa20-Poly1305 before they reach etcd. There is no
// fallback to plain text, neither for writing nor for reading.
func newEncryption() ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making encryption key: %w", err)
	}
	return yaml.Marshal(apiserverconfig.EncryptionConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiserver.config.k8s.io/v1", Kind: "EncryptionConfiguration"},
		Resources: []apiserverconfig.ResourceConfiguration{{
			Resources: []string{"secrets"},
			Providers: []apiserverconfig.ProviderConfiguration{{
				Secretbox: &apiserverconfig.SecretboxConfiguration{Keys: []apiserverconfig.Key{{
					Name: "key1", Secret: base64.StdEncoding.EncodeToString(key),
				}}},
			}},
		}},
	})
}

// checkEncryption looks for a whole key only: the API server checks the rest and tells what is wrong.
func checkEncryption(data []byte) error {
	var c apiserverconfig.EncryptionConfiguration
	if err := yaml.Unmarshal(data, &c); err != nil {
		return errors.New("it is no YAML") // the decoder's message could quote the key
	}
	for _, r := range c.Resources {
		for _, p := range r.Providers {
			if p.Secretbox != nil && len(p.Secretbox.Keys) > 0 {
				return nil
			}
		}
	}
	return errors.New("no encryption key in it")
}
