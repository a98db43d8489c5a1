package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/lpnl/lpnltest"
)

// exitCases have a command line for each exit status, of this process and a kernel without patches.
var exitCases = map[exitStatus]string{
	exitDone:    "status",
	exitFailed:  "aply",
	exitRefused: "apply fix --pid SELF",
	exitNothing: "revert fix --pid SELF",
	exitSome:    "revert fix --pid SELF --pid 4194305",
	exitNone:    "revert fix --all",
	exitActive:  "", // see TestCombine
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
	run([]string{"lpctl", "--help"}, &help, &help)
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

// wantStatus runs the case of a status.
func wantStatus(t *testing.T, want exitStatus) {
	t.Helper()
	args, ok := exitCases[want]
	if !ok {
		t.Fatal("no case")
	}
	if args == "" {
		return
	}
	defer func(was func() (kernel, error)) { connect = was }(connect)
	connect = func() (kernel, error) { return (&lpnltest.Kernel{}).Client() }
	var out bytes.Buffer
	args = strings.ReplaceAll(args, "SELF", fmt.Sprint(os.Getpid()))
	if got := run(append([]string{"lpctl"}, strings.Fields(args)...), &out, &out); got != int(want) {
		t.Errorf("lpctl %s: status %d, want %d: %s", args, got, want, &out)
	}
}
