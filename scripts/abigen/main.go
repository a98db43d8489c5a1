// SPDX-License-Identifier: GPL-2.0

// Abigen makes from Documentation/netlink/lpatch.yaml, the contract between the kernel module and its control plane,
// all that is written of it in code and prose. Run it from the root of the repository:
//
//	go run ./scripts/abigen
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const specPath = "Documentation/netlink/lpatch.yaml"

// output is one generated file.
type output struct {
	path   string // relative to the root of the repository
	render func(*spec) ([]byte, error)
}

var outputs = []output{
	{"kmod/uapi/lpatch.h", renderUAPI},
	{"kmod/nl_gen.h", renderHeader},
	{"kmod/nl_gen.c", renderSource},
	{"pkg/lpnl/zabi.go", renderGo},
	{"pkg/testutil/lpnltest/zrequests.go", renderRequests},
	{"Documentation/netlink/lpatch.md", renderMarkdown},
	{"test/syzkaller/lpatch.txt", renderSyzkaller},
	{"test/syzkaller/lpatch.txt.const", renderSyzConsts},
}

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}

// run regenerates every output below root.
func run(root string) error {
	text, err := os.ReadFile(filepath.Join(root, specPath))
	if err != nil {
		return err
	}
	s, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", specPath, err)
	}
	for _, o := range outputs {
		b, err := o.render(s)
		if err != nil {
			return fmt.Errorf("%s: %w", o.path, err)
		}
		if err := replace(filepath.Join(root, o.path), b); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a whole file or nothing; an unchanged one keeps its time, so that make rebuilds nothing for it.
func replace(path string, b []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
