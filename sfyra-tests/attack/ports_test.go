package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sockets are the files of the programs that open a socket to hear somebody, each with what docs/ports.md says of it.
var sockets = map[string][]string{
	"pxe-server/solicit/socket_linux.go":                 {"ICMPv6"},
	"pxe-server/dhcp/socket_linux.go":                    {"67/udp", "4011/udp"},
	"pxe-server/dhcp/others_linux.go":                    {"broadcast DISCOVER"},
	"pxe-server/dhcp/arp_linux.go":                       {"ARP"},
	"pxe-server/dhcp6/socket_linux.go":                   {"547/udp"},
	"pxe-server/tftp/socket_linux.go":                    {"69/udp"},
	"pxe-server/setup/segment.go":                        {"7480/tcp"},
	"pxe-server/setup/health.go":                         {"7491/tcp"},
	"metal-controller/setup/ports.go":                    {"7443/tcp", "7444/tcp", "7447/tcp"},
	"metal-controller/setup/configports.go":              {"7445/tcp", "7446/tcp"},
	"metal-controller/setup/signals.go":                  {"7448/tcp"},
	"metal-controller/bootserver/server.go":              {"within the process"},
	"metal-controller/cli/check.go":                      {"ingot check"},
	"metal-controller/ingot/services/ports.go":           {"tries whether its ports are free"},
	"metal-controller/ingot/clusterapi/launcher/site.go": nil, // looks for a free port on loopback, and closes it at once
	"metal-controller/ingot/controlplane/listen.go":      {"6443/tcp", "unix sockets"},
	"metal-controller/ingot/lab/lab.go":                  {"ingot lab"},
	"metal-controller/ingot/lab/files.go":                {"ingot lab"},
	"metal-controller/ingot/lab/machines.go":             {"ingot lab"},
	"metal-controller/talos/talostest/apid.go":           nil, // of tests
	"agent/inventory/lldp/listen.go":                     {"LLDP"},
	"agent/network/advice.go":                            {"router advertisements"},
}

// TestPortsAreDocumented: whatever a program opens to hear somebody is in docs/ports.md, and so is every port that a flag has by default.
func TestPortsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/ports.md"))
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	found := map[string]bool{}
	for _, folder := range []string{"agent", "pxe-server", "metal-controller", "boot-assets"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			if file := filepath.ToSlash(strings.TrimPrefix(name, root+"/")); listens(t, name) {
				found[file] = true
				if _, ok := sockets[file]; !ok {
					t.Errorf("%s opens a socket to hear somebody: say in docs/ports.md who may speak to it and what that changes, and name it here", file)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, words := range sockets {
		if !found[file] {
			t.Errorf("%s opens no socket", file)
		}
		for _, w := range words {
			if !strings.Contains(docs, w) {
				t.Errorf("docs/ports.md does not have %q, which %s opens", w, file)
			}
		}
	}
	for _, file := range []string{"metal-controller/main.go", "metal-controller/setup/configports.go", "metal-controller/ingot/services/services.go", "pxe-server/setup/health.go", "pxe-server/setup/setup.go"} {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range regexp.MustCompile(`\b(?:7[0-9]{3}|6443)\b`).FindAllString(string(source), -1) {
			if !strings.Contains(docs, port+"/tcp") {
				t.Errorf("docs/ports.md does not have the port %s of %s", port, file)
			}
		}
	}
}

// listens says that a file calls a function that opens a socket to hear somebody; those of the package limits only count.
func listens(t *testing.T, name string) (yes bool) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(f.Sel.Name, "Listen") && f.Sel.Name != "Bind" || f.Sel.Name == "Listener" {
			return true
		}
		of, _ := f.X.(*ast.Ident)
		yes = yes || of == nil || of.Name != "limits" && of.Name != "lldp"
		return true
	})
	return yes
}
