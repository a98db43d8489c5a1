// SPDX-License-Identifier: GPL-2.0

package table

import (
	"strings"
	"testing"
)

var example = Table{
	Columns: []Column{{Head: "PATCH"}, {Head: "PID"}, {Head: "SERVICE", Spare: true}, {Head: "STATE"}, {Head: "THREADS", Spare: true}, {Head: "FIXES"}},
	Rows: [][]string{
		{"cve-2026-66373", "412", "redis-server.service", "applied", "9", "CVE-2026-66373"},
		{"fix", "7", "-", "applied, 4 calls in old code", "12", "-"},
	},
}

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  string
	}{
		{0, `PATCH           PID  SERVICE               STATE                         THREADS  FIXES
cve-2026-66373  412  redis-server.service  applied                       9        CVE-2026-66373
fix             7    -                     applied, 4 calls in old code  12       -
`},
		{90, `PATCH           PID  SERVICE               STATE                         FIXES
cve-2026-66373  412  redis-server.service  applied                       CVE-2026-66373
fix             7    -                     applied, 4 calls in old code  -
`},
		{70, `PATCH           PID  STATE                         FIXES
cve-2026-66373  412  applied                       CVE-2026-66373
fix             7    applied, 4 calls in old code  -
`},
		{50, `PATCH           PID  STATE          FIXES
cve-2026-66373  412  applied        CVE-2026-66373
fix             7    applied, 4 c…  -
`},
		{20, `PATCH     PID  STAT…
cve-202…  412  appl…
fix       7    appl…
`},
	} {
		var out strings.Builder
		if err := example.Write(&out, c.limit); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("in %d columns:\n%swant\n%s", c.limit, &out, c.want)
		}
	}
}

// TestFits: no line is wider than what there is, whatever that is and whatever the cells are.
func TestFits(t *testing.T) {
	wide := example
	wide.Rows = append(wide.Rows, []string{"修正", strings.Repeat("ｗ", 40), "", "x", strings.Repeat("a", 300), "é́"})
	for limit := 1; limit < 500; limit++ {
		var out strings.Builder
		if err := wide.Write(&out, limit); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 1+len(wide.Rows) {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if size(line) > limit {
				t.Errorf("in %d columns: %q", limit, line)
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	var out strings.Builder
	if err := (&Table{Columns: example.Columns}).Write(&out, 0); err != nil || out.Len() > 0 {
		t.Errorf("%q, %v", &out, err)
	}
}
