// SPDX-License-Identifier: GPL-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReference: each refusal of the contract is in the reference, with the same meaning, and with what to do.
func TestReference(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, "Documentation", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.+) \\| (.+) \\|$").FindAllStringSubmatch(read("reference.md"), -1) {
		rows[m[1]] = m[2:]
	}
	_, section, _ := strings.Cut(read("netlink/lpatch.md"), "\n### refusal\n")
	section, _, _ = strings.Cut(section, "\n#")
	found := regexp.MustCompile("(?m)^\\| [1-9][0-9]* \\| `([a-z-]+)` \\| (.*) \\|$").FindAllStringSubmatch(section, -1)
	if len(found) < 26 {
		t.Fatalf("only %d refusals in the contract", len(found))
	}
	for _, m := range found {
		code, meaning := m[1], strings.TrimSpace(m[2])
		if meaning == "" {
			meaning = strings.ReplaceAll(code, "-", " ")
		}
		if row := rows[code]; row == nil || row[0] != meaning {
			t.Errorf("reference.md has no row | `%s` | %s | what to do |", code, meaning)
		}
	}
}
