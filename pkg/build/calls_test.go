// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// calls lists commands that build prog from main.c and work.c. Each has to result in a patch of work() alone, or in the given
// refusal.
var calls = map[string]struct{ command, refused string }{
	"gcc by path":       {command: "/usr/bin/gcc -O2 -g -c work.c main.c; /usr/bin/gcc -o prog main.o work.o"},
	"clang by path":     {command: "/usr/bin/clang-19 -O2 -g -c work.c; /usr/bin/clang-19 -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"clean environment": {command: "env -i /usr/bin/gcc -O2 -g -c work.c; env -i PATH=/usr/bin gcc -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"copy of gcc":       {command: "cp $(readlink -f /usr/bin/gcc) x; GCC_EXEC_PREFIX=/usr/lib/gcc/ ./x -O2 -g -c work.c main.c; gcc -o prog main.o work.o"},
	"wrapper script":    {command: "printf '#!/bin/sh\\nexec /usr/bin/gcc -O2 \"$@\"\\n' >gcc; chmod +x gcc; PATH=.:$PATH gcc -g -c work.c main.c; ./gcc -o prog main.o work.o"},
	"assembly":          {command: "gcc -O2 -g -S work.c; as work.s -o work.o; gcc -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"clang, assembly":   {command: "clang-19 -O2 -g -fno-addrsig -S work.c; as -o work.o <work.s; gcc -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"standard input":    {command: "gcc -O2 -g -c main.c; gcc -O2 -g -o prog main.o -x c - <work.c"},
	"at file":           {command: "echo '@b' >a; echo \"-O2 -g '-DX=a b' -c work.c\" >b; gcc @a; gcc -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"ld -r":             {command: "gcc -O2 -g -c work.c main.c; ld -r -o all.o work.o main.o; gcc -o prog all.o"},
	"redefined":         {command: "gcc -O2 -g -Dwork=w -c work.c -o w.o; objcopy --redefine-sym w=work w.o work.o; gcc -O2 -g -c main.c; gcc -o prog main.o work.o"},
	"stripped":          {command: "gcc -O2 -g -c work.c main.c; strip -g work.o; gcc -o prog main.o work.o"},
	"to binary": {
		command: "gcc -O2 -g -c work.c main.c; objcopy -O binary work.o w.bin; gcc -o prog main.o work.o",
		refused: "w.bin is made by objcopy of an object's sections, which lpctl has otherwise; have it made of a linked file",
	},
	"section": {
		command: "gcc -O2 -g -c work.c main.c; objcopy -R .text.unlikely work.o w.o; gcc -o prog main.o w.o",
		refused: "it is not known what it was made of: objcopy makes w.o of the section .text.unlikely of an object, which lpctl has in parts; have it select or rename sections that the source names",
	},
}

func TestCalls(t *testing.T) {
	filetest.Slow(t)
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		t.Run(name, func(t *testing.T) {
			call := calls[name]
			if strings.Contains(call.command, "clang-19") {
				if _, err := exec.LookPath("clang-19"); err != nil {
					t.Skip(err)
				}
			}
			p := tinyTree{files: sources(nil), command: []string{"sh", "-ec", call.command}, target: "prog"}
			dir := p.unpack(t)
			res, err := FromSource(context.Background(), SourceOptions{Target: p.stock(t, dir), Source: dir, Patch: p.fix(t, dir), Command: p.command, Name: "fix", Tool: "test"})
			var refusals Refusals
			switch {
			case call.refused != "" && (!errors.As(err, &refusals) || refusals[0].Text != call.refused):
				t.Errorf("error %v, want a refusal: %s", err, call.refused)
			case call.refused == "" && err != nil:
				t.Error(err)
			case call.refused == "" && (len(res.Spec.Functions) != 1 || res.Spec.Functions[0].Symbol != "work"):
				t.Errorf("functions %+v, want work alone", res.Spec.Functions)
			}
		})
	}
}

// TestNamesAlone builds without tracing: assembler and linker are intercepted by name.
func TestNamesAlone(t *testing.T) {
	dir := t.TempDir()
	s := newShims(t, dir)
	for _, twice := range []bool{false, true} {
		s.twice = twice
		env, by := s.around(false)
		if by != nil {
			t.Fatalf("the build is run by %q", by)
		}
		cmd := exec.Command("sh", "-ec", "echo 'int f(void) { return 1; }' >f.c; gcc -O2 -S f.c; as -o f.o f.s; ld -r -o r.o f.o")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(s.objects, "f.o"))
		if err != nil || !strings.Contains(string(data), ".text.f\x00") {
			t.Errorf("twice %v: the object for the patch has no section for f (%v)", twice, err)
		}
		links, err := readBuildLinks(s.objects)
		if err != nil || len(links.records) == 0 || links.records[0].Output != "r.o" || links.records[0].Inputs[0].Name != "f.o" {
			t.Errorf("links %+v (%v), want r.o of f.o", links.records, err)
		}
	}
}

func TestWordsOf(t *testing.T) {
	for text, want := range map[string][]string{
		"a  b\n\tc":                  {"a", "b", "c"},
		`-DX="a b" 'c "d"' e\ f`:     {"-DX=a b", `c "d"`, "e f"},
		`"" '\'' "\"" \\`:            {"", "'", `"`, `\`},
		"-I/a/b\\c" + "\r\n" + "x\v": {"-I/a/bc", "x"},
	} {
		if got := wordsOf(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestKindByName(t *testing.T) {
	for name, want := range map[string]toolKind{
		"gcc": driver, "x86_64-linux-gnu-gcc-12": driver, "clang++-19": driver, "c++": driver, "cpp": noTool, "clang-format": noTool,
		"as": assembler, "x86_64-linux-gnu-as": assembler, "gas": assembler, "nasm": assembler, "aarch64-linux-gnu-as": noTool,
		"ld": linker, "ld.gold": linker, "ld.lld-19": linker, "ldd": noTool, "ldconfig": noTool,
		"objcopy": rewriter, "llvm-strip-19": rewriter, "x86_64-linux-gnu-strip": rewriter, "ccache": cache,
	} {
		if got := kindByName(name); got != want {
			t.Errorf("%s: kind %d, want %d", name, got, want)
		}
	}
}
