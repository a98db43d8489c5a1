// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/lpnltest"
)

// exitCases have a command line for each exit status, of this process and a kernel without patches, or of a sleep that has a call in
// old code when it is patched.
var exitCases = map[exitStatus]string{
	exitDone:    "status",
	exitFailed:  "aply",
	exitRefused: "apply fix --pid SELF",
	exitNothing: "revert fix --pid SELF",
	exitSome:    "revert fix --pid SELF --pid 4194305",
	exitNone:    "revert fix --all",
	exitActive:  "apply FIX --pid SLEEP",
}

// statusRows are the rows of a table of exit statuses, as a pattern finds number and meaning, without the marks of Markdown.
func statusRows(t *testing.T, path, pattern string) map[exitStatus]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[exitStatus]string{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		rows[exitStatus(n)] = strings.NewReplacer("`", "", "*", "").Replace(m[2])
	}
	return rows
}

// TestExitStatuses: the reference, the manual page and --help have the same statuses with the same meaning, and each occurs.
func TestExitStatuses(t *testing.T) {
	reference := statusRows(t, "../../Documentation/reference.md", `(?m)^\| (\d+) \| ([^|]+) \| [^|]+ \|$`)
	manual := statusRows(t, "../../Documentation/man/lpctl.8.md", `(?m)^\*\*(\d+)\*\*\n:   (.+)\n`)
	for _, rows := range []map[exitStatus]string{reference, manual} {
		if len(rows) != len(exitMeanings) {
			t.Errorf("%d statuses, want %d: %v", len(rows), len(exitMeanings), rows)
		}
	}
	var help bytes.Buffer
	thisHost().run([]string{"lpctl", "--help"}, &help, &help)
	for status, meaning := range reference {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			if exitMeanings[status] != meaning || manual[status] != meaning {
				t.Errorf("the reference has %q, --help %q, the manual page %q", meaning, exitMeanings[status], manual[status])
			}
			if !strings.Contains(help.String(), fmt.Sprintf("\n     %d  %s\n", status, meaning)) {
				t.Errorf("--help has no %q", meaning)
			}
			wantStatus(t, status)
		})
	}
}

// withSleep starts a sleep, and puts its pid and a patch for it into a command line.
func withSleep(t *testing.T, args string) string {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	spec, err := applytest.Spec("fix", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	fix := filepath.Join(t.TempDir(), "fix.lp")
	if err := applytest.Write(fix, spec); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("FIX", fix, "SLEEP", fmt.Sprint(cmd.Process.Pid)).Replace(args)
}

// wantStatus runs the case of a status.
func wantStatus(t *testing.T, want exitStatus) {
	t.Helper()
	args, ok := exitCases[want]
	if !ok {
		t.Fatal("no case")
	}
	h := thisHost()
	active := map[lpnl.Verb]lpnltest.Active{lpnl.VerbApply: {Comm: "sleep", Threads: 1}}
	h.connect = func() (kernel, error) { return (&lpnltest.Kernel{Active: active}).Client() }
	if strings.Contains(args, "SLEEP") {
		if os.Geteuid() != 0 {
			t.Skip("opening what another process maps needs root")
		}
		args = withSleep(t, args)
	}
	var out bytes.Buffer
	args = strings.ReplaceAll(args, "SELF", fmt.Sprint(os.Getpid()))
	if got := h.run(append([]string{"lpctl"}, strings.Fields(args)...), &out, &out); got != int(want) {
		t.Errorf("lpctl %s: status %d, want %d: %s", args, got, want, &out)
	}
}
