// Package config reads the machine config of the test OS: a stream of YAML documents, of which two kinds count.
//
// Layer 1, pure. The Callback is Ingot's (docs/claims.md); the TestOS is ours:
//
//	apiVersion: test.ingot.dev/v1
//	kind: TestOS
//	disk: largest            # smallest, serial:X
//	everySeconds: 10         # how often it says that it runs; 0: once
//	secret: a word           # a canary: only its SHA-256 is shown
//	marks: true              # writes install.Mark over the whole disk
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest config that is read.
const MaxBytes = 1 << 20

// Names of the documents that count.
const (
	callbackVersion = "ingot.dev/v1alpha1"
	callbackKind    = "Callback"
	osVersion       = "test.ingot.dev/v1"
	osKind          = "TestOS"
)

// Callback is where the system tells how far it got.
type Callback struct {
	URL    string `yaml:"url"`
	Pin    string `yaml:"pin"`
	Boot   string `yaml:"boot"`
	Server string `yaml:"server"`
}

// TestOS is what the system shall be.
type TestOS struct {
	Disk         string `yaml:"disk"`
	EverySeconds int    `yaml:"everySeconds"`
	Secret       string `yaml:"secret"`
	Marks        bool   `yaml:"marks"`
}

// Config is the whole.
type Config struct {
	Callback Callback
	OS       TestOS
}

// Parse reads the stream. Documents of other kinds are left alone; without a Callback it is an error, and so is a stream that ends early.
func Parse(text []byte) (Config, error) {
	c := Config{OS: TestOS{Disk: "largest"}}
	if len(text) > MaxBytes {
		return c, fmt.Errorf("machine config has %d bytes, at most %d are read", len(text), MaxBytes)
	}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err := documents.Decode(&document); {
		case errors.Is(err, io.EOF):
			return c, c.check()
		case err != nil:
			return c, fmt.Errorf("reading machine config: %w", err)
		}
		if err := c.take(&document); err != nil {
			return c, err
		}
	}
}

// take reads one document.
func (c *Config) take(document *yaml.Node) error {
	var kind struct {
		Version string `yaml:"apiVersion"`
		Kind    string `yaml:"kind"`
	}
	if err := document.Decode(&kind); err != nil {
		return nil //nolint:nilerr // a document that is no map is somebody else's
	}
	var into any
	switch kind.Version + "/" + kind.Kind {
	case callbackVersion + "/" + callbackKind:
		into = &c.Callback
	case osVersion + "/" + osKind:
		into = &c.OS
	default:
		return nil
	}
	if err := document.Decode(into); err != nil {
		return fmt.Errorf("reading the %s of the machine config: %w", kind.Kind, err)
	}
	return nil
}

func (c *Config) check() error {
	switch {
	case c.Callback.URL == "" || c.Callback.Boot == "" || c.Callback.Server == "":
		return errors.New("machine config has no Callback with url, boot and server")
	case c.OS.EverySeconds < 0:
		return fmt.Errorf("everySeconds is %d", c.OS.EverySeconds)
	}
	return nil
}
