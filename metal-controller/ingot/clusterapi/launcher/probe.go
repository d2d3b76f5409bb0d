package launcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// answerEvery is how often a start is looked at, answerLimit how long one answer may take.
	answerEvery = 50 * time.Millisecond
	answerLimit = 5 * time.Second
)

// awaitAnswers waits until the webhooks of all places answer, or ctx ends.
func awaitAnswers(ctx context.Context, places []Place) error {
	tick := time.NewTicker(answerEvery)
	defer tick.Stop()
	for {
		if answer(ctx, places) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// answer says whether the webhooks of all places answer, with the certificates that were made for them.
func answer(ctx context.Context, places []Place) error {
	for _, p := range places {
		if err := p.answers(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p Place) answers(ctx context.Context) error {
	if p.CertDir == "" {
		return nil
	}
	ca, err := os.ReadFile(filepath.Join(p.CertDir, caFile))
	if err != nil {
		return fmt.Errorf("reading the authority of webhooks: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return errors.New("no authority of webhooks")
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: roots, ServerName: p.name, MinVersion: tls.VersionTLS12}}
	c, err := d.DialContext(ctx, "tcp", p.Address.String())
	if err != nil {
		return fmt.Errorf("asking the webhooks at %s: %w", p.Address, err)
	}
	return c.Close()
}
