// SPDX-License-Identifier: GPL-2.0

package linenumbers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

// TestKeep shows the directives in new texts as ">" and a number; "+" starts added lines, "-" removed ones.
func TestKeep(t *testing.T) {
	tests := []struct{ name, text string }{
		{"nothing changes", "a;\nb;\n"},
		{"same count", "a;\n-b;\n+B;\nc;\n"},
		{"comment in front", "+/* new */\n>1\na;\nb;\n"},
		{"code in front", ">1001\n+new;\n>1\na;\nb;\n"},
		{"gone", "a;\n-b;\n>3\nc;\n"},
		{"first line gone", "-a;\n>2\nb;\n"},
		{"more than was there", "a;\n-b;\n+B1;\n>1003\n+B2;\n>3\nc;\n"},
		{"two changes", "a;\n>1002\n+n;\n>2\nb;\nc;\n-d;\n-e;\n+n2;\n+n3;\n>1007\n+n4;\n+/* */\n"},
		{"comment goes on", ">1001\n+n\n/* x\n*/ a;\n>3\nb;\n"},
		{"arguments", "f(a,\n+  b,\n  c);\n>3\nd;\n"},
		{"turns before arguments", "a;\n-f(b);\n>1002\n+f(b,\n+  c);\n>3\nd;\n"},
		{"name and arguments", ">1001\n+n\n(a);\n>2\nb;\n"},
		{"statement in parentheses", ">1001\n+n;\n>1\n(a);\nb;\n"},
		{"label", ">1001\n+n:\n>1\n(a);\nb;\n"},
		{"continued", ">1001\n+n \\\n+a\n>1\nb\n"},
		{"string", "s = \"a\\\n+b\\\n c\";\n>3\nd;\n"},
		{"raw string", "s = R\"x(\n+)\"\n (\n)x\";\n>4\nd;\n"},
		{"separated", "n = 1'000;\n>1002\n+(\n+'\n+)\n>2\nm;\n"},
		{"apostrophe", "#if 0\n>1002\n+it's /* so (\n#endif\n>3\na;\n"},
		{"smile", "#if 0\n>1002\n+see (\n#endif\n>3\na;\n"},
		{"macro", "#define M \\\n+ n; \\\n a\n>3\nb;\n"},
		{"comment in a directive", "#define M /*\n+\n*/ (\n>3\nb;\n"},
		{"branches", "#ifdef A\n>1002\n+n;\n>2\na;\n#else\n>4\nb;\n#endif\n>6\nc;\n"},
		{"guard", "+// 2026\n#ifndef G\n#define G\n>3\na;\n#endif\n"},
		{"parentheses in branches", "+\n#ifdef A\n>2\nif (a\n#else\n>4\nif (b\n#endif\n)\n>7\nc;\n"},
		{"numbers of its own", "+a;\n#line 5\nb;\n"},
		{"marks of a preprocessor", "+a;\n# 5 \"x\"\nb;\n"},
		{"trigraph", "+a; // ??/\nb;\n"},
		{"CR alone", "+a;\rb;\nc;\n"},
		{"CR and LF", ">1001\r\n+a;\r\n>1\r\nb;\r\n"},
		{"comment without end", "+a; /*\nb;\n"},
		{"condition without end", "+a;\n#if 1\nb;\n"},
		{"no end of the last line", "-a;\n>2\nb;"},
		{"byte order mark", "-a;\n\xef\xbb\xbfb;\n>3\nc;\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var old, new, want strings.Builder
			for l := range strings.Lines(tt.text) {
				switch l[0] {
				case '>':
					want.WriteString("#line " + strings.TrimRight(l[1:], "\r\n") + "\n")
					continue
				case '-':
					old.WriteString(l[1:])
					continue
				case '+':
					l = l[1:]
				default:
					old.WriteString(l)
				}
				new.WriteString(l)
				want.WriteString(l)
			}
			if diff := cmp.Diff(want.String(), string(Keep([]byte(old.String()), []byte(new.String())))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// piece is a sequence of related lines. A changed one contains an identifier ID, and its lines end in numbers.
type piece struct {
	lines []string
	exact bool // directives may be inserted between its lines
}

// random generates pieces of a source.
func random(r *rand.Rand, depth int) []piece {
	var out []piece
	name := func() string { return fmt.Sprintf("id%d __LINE__", r.IntN(1<<40)) }
	for range r.IntN(8) + 1 {
		switch r.IntN(12) {
		case 0:
			out = append(out, piece{[]string{fmt.Sprintf("/* %d", r.Int()), "it's \"so", "*/"}, true})
		case 1:
			out = append(out, piece{[]string{"M(" + name() + ",", "  " + name() + ",", "", name() + ");"}, false})
		case 2:
			out = append(out, piece{[]string{"#define N" + strconv.Itoa(r.Int()) + " \\", " ( " + strconv.Itoa(r.Int()) + " \\", " " + strconv.Itoa(r.Int())}, false})
		case 3:
			out = append(out, piece{[]string{"s = \"it's \\", "/* \\", "\";"}, false})
		case 4:
			out = append(out, piece{[]string{""}, true}, piece{[]string{"// it's ("}, true})
		case 5:
			out = append(out, piece{[]string{"M", "(" + name() + ");"}, false})
		case 6:
			out = append(out, piece{[]string{"{", "(" + name() + "); }"}, true})
		case 7, 8:
			if depth == 0 {
				continue
			}
			out = append(out, piece{[]string{fmt.Sprintf("#if %c", 'A'+r.IntN(2))}, true})
			out = append(out, random(r, depth-1)...)
			if r.IntN(2) == 0 {
				out = append(out, piece{[]string{[]string{"#else", "#elif B"}[r.IntN(2)]}, true})
				out = append(out, random(r, depth-1)...)
			}
			out = append(out, piece{[]string{"#endif"}, true})
		default:
			out = append(out, piece{[]string{name() + ";"}, true})
		}
	}
	return out
}

// change modifies pieces.
func change(r *rand.Rand, pieces []piece) []piece {
	var out []piece
	for _, p := range pieces {
		if strings.HasPrefix(p.lines[0], "#if") || strings.HasPrefix(p.lines[0], "#el") || p.lines[0] == "#endif" {
			out = append(out, p)
			continue
		}
		switch r.IntN(12) {
		case 0:
		case 1:
			out = append(out, random(r, 1)...)
		case 2:
			out = append(append(out, random(r, 0)...), p)
		case 3:
			if !p.exact {
				p.lines = slices.Insert(slices.Clone(p.lines), 1, " \\")[:len(p.lines)+1]
				p.lines[1] = map[bool]string{true: "\\", false: ""}[strings.HasSuffix(p.lines[0], "\\")]
			}
			out = append(out, p)
		default:
			out = append(out, p)
		}
	}
	return out
}

func join(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		for _, l := range p.lines {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

func preprocess(t testing.TB, text string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.Command(args[0], append(args[1:], "-E", "-P", "-w", "-nostdinc", "-x", "c", "-")...)
	cmd.Stdin = strings.NewReader(text)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return strings.Join(strings.Fields(out.String()), " "), err == nil
}

var (
	id       = regexp.MustCompile(`id\d+`)
	numbered = regexp.MustCompile(`(id\d+) (\d+)`)
)

// TestKeepRandom checks the line numbers that compilers see in random sources with random changes.
func TestKeepRandom(t *testing.T) {
	filetest.Slow(t)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		before := random(r, 3)
		after := change(r, before)
		old, new := join(before), join(after)
		kept := string(Keep([]byte(old), []byte(new)))
		olds := map[string]int{}
		n := 0
		for l := range strings.Lines(old) {
			n++
			for _, m := range id.FindAllString(l, -1) {
				olds[m] = n
			}
		}
		exact := map[string]bool{}
		for _, p := range after {
			for _, m := range id.FindAllString(strings.Join(p.lines, " "), -1) {
				exact[m] = p.exact
			}
		}
		cc := []string{"gcc", "clang-14"}[seed%2]
		args := []string{cc, []string{"-DC", "-DA=1", "-DB=1"}[seed%3], "-DM(...)=[__VA_ARGS__]"}
		plain, ok1 := preprocess(t, new, append(args, "-D__LINE__=0")...)
		same, ok2 := preprocess(t, kept, append(args, "-D__LINE__=0")...)
		if !ok1 || !ok2 || plain != same {
			t.Fatalf("seed %d, %v: other tokens\nnew:\n%s\nkept:\n%s\n%s\n%s", seed, args, new, kept, plain, same)
		}
		got, _ := preprocess(t, kept, args...)
		used := map[string]string{}
		for _, m := range numbered.FindAllStringSubmatch(got, -1) {
			if !exact[m[1]] {
				continue
			}
			if want := olds[m[1]]; want != 0 && m[2] != strconv.Itoa(want) {
				t.Fatalf("seed %d, %v: %s has number %s, want %d\nold:\n%s\nkept:\n%s", seed, args, m[1], m[2], want, old, kept)
			}
			if used[m[2]] != "" {
				t.Fatalf("seed %d, %v: %s and %s have number %s\nold:\n%s\nkept:\n%s", seed, args, used[m[2]], m[1], m[2], old, kept)
			}
			used[m[2]] = m[1]
		}
	}
}

// FuzzKeep looks for texts in which the directives change a token.
func FuzzKeep(f *testing.F) {
	f.Add("a\n(b)\n", "x\n\na\n(b)\n")
	f.Add("#define f(x) x\nf (\n1)\nf\n(2)\n", "#define f(x) x\ny\nf (\n\n1)\nf\n\n(2)\n")
	f.Add("#if 0\nit's\n#else\n'(' \"/*\"\n#endif\n", "#if 0\n(\n\n#else\n/* */ '(' \"/*\"\n#endif\na\\ \nb\n")
	f.Add("R\"(a\n)\" 1'0'0\n", "R\"(a\n\")\" 1'0'0\nb\n%:define c /*\n*/ d\nc\n")
	f.Fuzz(func(t *testing.T, old, new string) {
		kept := string(Keep([]byte(old), []byte(new)))
		if kept == new || strings.Contains(new, "incl") || strings.Contains(new, "emb") || strings.Contains(new, "import") {
			return
		}
		want, ok := preprocess(t, new, "gcc", "-D__LINE__=0")
		if !ok {
			return
		}
		if got, ok := preprocess(t, kept, "gcc", "-D__LINE__=0"); !ok || got != want {
			t.Errorf("other tokens\nnew: %q\nkept: %q\n%s\n%s", new, kept, want, got)
		}
	})
}
