package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/util/yaml"
	syaml "sigs.k8s.io/yaml"
)

const (
	// maxConfig is what a Secret holds at most, in bytes (Kubernetes, MaxSecretSize).
	maxConfig = 1 << 20
	// maxPatch is what the API takes of one patch, in bytes; maxPatches how many.
	maxPatch   = 64 << 10
	maxPatches = 32
)

// readConfig reads the machine config. It is full of secrets, so no error repeats any of it.
func readConfig(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readFile(path, maxConfig)
	if err != nil {
		return nil, misused("--config: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, misused("--config %s: the file is empty", path)
	}
	return data, nil
}

// readPatches reads the patches. What is in them may be secret, so no error repeats any of it.
func readPatches(paths []string) ([]string, error) {
	if len(paths) > maxPatches {
		return nil, misused("a claim has at most %d patches, not %d; join some of the files with lines of ---", maxPatches, len(paths))
	}
	var all []string
	for _, path := range paths {
		data, err := readFile(path, maxPatch)
		if err != nil {
			return nil, misused("--patch: %w", err)
		}
		if !isPatch(data) {
			return nil, misused("--patch %s: a patch is one or more YAML maps, separated by lines of ---", path)
		}
		all = append(all, string(data))
	}
	return all, nil
}

// isPatch says whether data is a stream of YAML maps, with one at least.
func isPatch(data []byte) bool {
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 0; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return n > 0
		}
		var content map[string]any
		if err != nil || syaml.Unmarshal(document, &content) != nil || len(content) == 0 {
			return false
		}
	}
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return data, nil
}
