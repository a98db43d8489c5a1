// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestModern: what is spelled as it was before becomes what is spelled as it is now, and nothing else does.
func TestModern(t *testing.T) {
	app := thisHost().newApp(&bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range []struct{ in, want string }{
		{"--json --timeout 1s apply fix.lp", "apply --json --timeout 1s fix.lp"},
		{"--root list boot list", "boot list --root list"},
		{"boot --now add fix.lp", "boot add --now fix.lp"},
		{"--deb hello build --from 1", "build deb hello --from 1"},
		{"build --old a.o b.o --new c.o d.o -o f.lp", "build objects --old a.o --old b.o --new c.o --new d.o -o f.lp"},
		{"build --target x --old=a b --new c", "build objects --target x --old=a --old b --new c"},
		{"build --target x y --old a --new c", "build objects --target x y --old a --new c"},
		{"build --source source --patch p -o f.lp -- make --old -o x", "build source source --patch p -o f.lp -- make --old -o x"},
		{"build --patch p --target deb --source=. -- make", "build source . --patch p --target deb -- make"},
		{"build --patch p -- make", "build source --patch p -- make"},
		{"build --deb redis --source x --to 2", "build deb redis --source x --to 2"},
		{"build --deb", "build deb"},
		{"build --source . --patch p -- ./configure --generate-docs", "build source . --patch p -- ./configure --generate-docs"},
		{"build --target x --set a=b --data -o f.lp", "build values --target x --set a=b --data -o f.lp"},
		{"build -o f.lp --set a=b --old a.o", "build objects -o f.lp --set a=b --old a.o"},
	} {
		line, note := modern(app, append([]string{"lpctl"}, strings.Fields(c.in)...))
		if text := strings.Join(line[1:], " "); text != c.want || note == "" {
			t.Errorf("%q: %q, note %q; want %q", c.in, text, note, c.want)
		}
	}
	for _, same := range []string{
		"", "status", "apply fix.lp --pid 1", "apply --json -- --all", "frob --x y", "--frob", "--help", "--version", "-- apply --json", "build", "build --help",
		"build --target x -o f.lp", "build source . --patch p -- make --old a b", "build objects --old a --new b", "build --deb --generate-shell-completion",
		"boot lst --deb x", "help build --deb",
	} {
		args := append([]string{"lpctl"}, strings.Fields(same)...)
		if line, note := modern(app, args); strings.Join(line, " ") != strings.Join(args, " ") || note != "" {
			t.Errorf("%q: %q, note %q", same, line, note)
		}
	}
}
