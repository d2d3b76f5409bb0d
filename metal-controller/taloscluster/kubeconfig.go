package taloscluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// early is how long before its making a certificate holds: clocks differ.
const early = 5 * time.Minute

// Kubeconfig is what an admin uses the cluster's Kubernetes API with, for as long as life. It needs no machine of the cluster, only its authority.
func (s Secrets) Kubeconfig(c Cluster, life time.Duration, now time.Time, random io.Reader) ([]byte, error) {
	ca, err := tls.X509KeyPair(s.bundle.Certs.K8s.Crt, s.bundle.Certs.K8s.Key)
	if err != nil {
		return nil, errSecrets
	}
	cert, key, err := admin(ca, life, now, random)
	if err != nil {
		return nil, err
	}
	user := "admin@" + c.Name
	config := api.Config{
		Clusters:       map[string]*api.Cluster{c.Name: {Server: c.Endpoint, CertificateAuthorityData: s.bundle.Certs.K8s.Crt}},
		AuthInfos:      map[string]*api.AuthInfo{user: {ClientCertificateData: cert, ClientKeyData: key}},
		Contexts:       map[string]*api.Context{user: {Cluster: c.Name, AuthInfo: user, Namespace: "default"}},
		CurrentContext: user,
	}
	data, err := clientcmd.Write(config)
	if err != nil {
		return nil, errors.New("the kubeconfig cannot be written")
	}
	return data, nil
}

// admin is a client certificate of Kubernetes' group of admins, system:masters, with its key, as PEM.
func admin(ca tls.Certificate, life time.Duration, now time.Time, random io.Reader) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	end := now.Add(life)
	if end.After(ca.Leaf.NotAfter) {
		end = ca.Leaf.NotAfter
	}
	der, err := x509.CreateCertificate(random, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{Organization: []string{"system:masters"}, CommonName: "admin"},
		NotBefore: now.Add(-early), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, ca.Leaf, &private.PublicKey, ca.PrivateKey)
	if err != nil {
		return nil, nil, errors.New("the cluster's authority cannot sign")
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, errors.New("the key cannot be written")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}
