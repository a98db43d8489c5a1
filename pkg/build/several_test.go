// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

// severalTree is a package of three programs, like openssh, which use some objects of an archive and some of their own. scp.c
// shares much code with ssh.c, so that it appears to be part of both.
var severalTree = map[string]string{
	"misc.c":   miscC,
	"packet.c": "int packet(int n) { int s = 0; for (int i = 0; i < n; i++) { s += i * n ^ 3; if (s % 11 == n) s -= 1717; else if (s > 90000) s /= 13; } return s; }\n",
	"helper.h": "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((noinline)) static void usage(const char *s) { fprintf(stderr, \"usage: %s [-v] host\\n\", s); exit(1); }\n" +
		"__attribute__((noinline)) static int number(const char *s) { char *e; long n = strtol(s, &e, 10); int dots = 0; for (const char *c = s; *c; c++) { if (*c == '.') dots++; else if (*c == ':') dots += 100; if (dots > 3 && c[1] == 0) usage(s); } if (*e || n < 0 || n > 999 || dots == 7) usage(s); return n * 3 + dots; }\n",
	"ssh.c":  "#include \"helper.h\"\nint misc(int); int packet(int);\nint main(int c, char **v) { if (c < 2) usage(v[0]); printf(\"%d\\n\", misc(number(v[1])) + packet(c)); return 0; }\n",
	"scp.c":  "#include \"helper.h\"\nint misc(int);\n__attribute__((noinline)) static int source(int n) { int s = misc(n); while (s > 1000) { s -= s / 7 + 5; if (s % 13 == 2) puts(\"source\"); } return s - 5; }\nint main(int c, char **v) { if (c < 2) usage(v[0]); printf(\"%d\\n\", source(number(v[1]))); return 0; }\n",
	"sshd.c": "#include \"helper.h\"\nint packet(int);\nint main(int c, char **v) { if (c < 2) usage(v[0]); printf(\"%d\\n\", packet(number(v[1]))); return 0; }\n",
	"Makefile": `CFLAGS = -g -O2
all: ssh scp sshd
libssh.a: misc.o packet.o
	ar rcs $@ $^
ssh scp sshd: %: %.o libssh.a
	gcc -o $@ $< -L. -lssh $(LDFLAGS)
`,
}

const miscC = "int misc(int n) { int s = 0; for (int i = 3; i < n; i++) { s = s * 31 + i; if (s % 17 == 4) s ^= 0x5a5a; else if (s < 0) s += 99991; } return s + n * 7; }\n"

// fixOf returns the unified diff of a file of one line, or of one line of a file.
func fixOf(name string, line int, old, new string) string {
	return fmt.Sprintf("--- a/%s\n+++ b/%s\n@@ -%d +%d @@\n-%s\n+%s\n", name, name, line, line, old, new)
}

// TestSeveralPrograms checks that the links determine which object is part of which program, also for stripped programs and
// for those that the build does not reproduce.
func TestSeveralPrograms(t *testing.T) {
	for _, flags := range []string{"", "-Wl,--build-id=0x0102030405060708", "-Wl,--gc-sections"} {
		dir := t.TempDir()
		tree, stock, fix := filepath.Join(dir, "tree"), filepath.Join(dir, "stock"), filepath.Join(dir, "fix.patch")
		filetest.Tree(t, tree, severalTree)
		filetest.Tree(t, stock, severalTree)
		source := strings.Split(severalTree["scp.c"], "\n")[2]
		misc := strings.TrimSuffix(miscC, "\n")
		write(t, fix, []byte(fixOf("scp.c", 3, source, strings.Replace(source, "- 5", "- 6", 1))+fixOf("misc.c", 1, misc, strings.Replace(misc, "99991", "99999", 1))))
		runIn(t, stock, []string{"sh", "-ec", "make LDFLAGS=" + flags + "; strip ssh scp sshd"})
		list, err := FromSourceEach(context.Background(), SourceOptions{Source: tree, Patch: fix, Command: []string{"make", "LDFLAGS=-s"}, Name: "fix", Tool: "test"},
			[]string{stock + "/ssh", stock + "/scp", stock + "/sshd"})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, r := range list {
			got[filepath.Base(r.File)] = outcome(r.Result, r.Err)
		}
		want := map[string]string{"ssh": "functions misc", "scp": "functions misc source", "sshd": "nothing nothing to do: old and new do not differ in " + stock + "/sshd (misc.o: not linked into it; scp.o: not linked into it)"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("flags %q: %s", flags, diff)
		}
	}
}
