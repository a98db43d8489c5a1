// SPDX-License-Identifier: GPL-2.0

// Package docs runs the commands in Documentation: each fenced block of Markdown that is marked console is commands, with
// $ or # in front, and below each what it prints. Those marked "console build" are run here, the others as root in a
// machine with kernel 6.12, in the directory to which the first have led, with what they have left there: as in one shell.
// Those marked "console install" are run by TestCleanMachine, those marked "console host" here, for another root, by
// TestRepository; those of HACKING.md by TestHacking, in the repository itself.
package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
	"lpatch/test/vm"
)

const (
	root   = "../.."
	kernel = "6.12"
)

// guides are the documents with commands, and what has to be there before.
var guides = map[string]func(t *testing.T, dir string){
	"quick-start.md":        func(*testing.T, string) {},
	"operators-guide.md":    buildExample,
	"performance.md":        buildExample,
	"distribution-guide.md": func(t *testing.T, dir string) { buildExample(t, dir); makeTree(t, dir+"/linux") },
}

// built are the documents with commands for where programs are built, and what has to be there before.
var built = map[string]func(t *testing.T, dir string){
	"quick-start.md": guides["quick-start.md"], "distribution-guide.md": guides["distribution-guide.md"], "patch-author-guide.md": makeSystems,
}

// tools are programs that the commands of a document use and the machine does not have.
var tools = map[string][]string{"performance.md": {"perf", "bpftrace"}}

// command is one of a block, and what it is to print.
type command struct {
	line int // of the document
	text string
	want []string
}

// commands are those of the blocks that are marked so.
func commands(t *testing.T, document, mark string) []command {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Documentation", document))
	if err != nil {
		t.Fatal(err)
	}
	var list []command
	inside := false
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```"+mark
		case !inside:
		case strings.HasPrefix(line, "$ ") || (strings.HasPrefix(line, "# ") && (mark == "console" || mark == "console host")):
			list = append(list, command{line: number, text: line[2:]})
		case len(list) == 0:
			t.Fatalf("%s:%d: output of no command", document, number)
		default:
			last := &list[len(list)-1]
			last.want = append(last.want, line)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no block marked %s", document, mark)
	}
	return list
}

// divider comes before the output of each command, and after it with the exit status.
const divider = "==== docs_test "

func script(list []command) string {
	var out strings.Builder
	for i, c := range list {
		fmt.Fprintf(&out, "echo '%s%d begins'\n%s\necho \"%s%d ends $?\"\n", divider, i, c.text, divider, i)
	}
	return out.String()
}

// judge compares what a script printed with what the document says.
func judge(t *testing.T, document string, list []command, output string) {
	t.Helper()
	for i, c := range list {
		_, rest, _ := strings.Cut(output, fmt.Sprintf("%s%d begins\n", divider, i))
		got, rest, ended := strings.Cut(rest, fmt.Sprintf("%s%d ends ", divider, i))
		status, _, _ := strings.Cut(rest, "\n")
		if !ended || status != "0" {
			t.Fatalf("%s:%d: %s\nends with status %q and prints\n%s", document, c.line, c.text, status, got)
		}
		if len(c.want) > 0 && !pattern(c.want).MatchString(got) {
			t.Errorf("%s:%d: %s\nprints\n%sand the document says\n%s", document, c.line, c.text, got, strings.Join(c.want, "\n"))
		}
	}
}

// varies is what is another each time: numbers, with their units, and the space that fills a table; or is left out.
var varies = regexp.MustCompile(`…|(0x)?[0-9][0-9a-fA-F.,:+e-]*(?: (?:ns|µs|ms|s)\b)?| {2,}`)

// pattern matches output as a document has it: any numbers, any lines in place of … on a line of its own, and
// anything in place of … elsewhere.
func pattern(want []string) *regexp.Regexp {
	var p strings.Builder
	p.WriteString(`^`)
	for _, line := range want {
		if line == "…" {
			p.WriteString(`(?:.*\n)*`)
			continue
		}
		from := 0
		for _, m := range varies.FindAllStringIndex(line, -1) {
			p.WriteString(regexp.QuoteMeta(line[from:m[0]]))
			switch line[m[0]] {
			case ' ':
				p.WriteString(` +`)
			case "…"[0]:
				p.WriteString(`.*`)
			default:
				p.WriteString(`(?:` + varies.String() + `)[^ ]*`)
			}
			from = m[1]
		}
		p.WriteString(regexp.QuoteMeta(line[from:]) + `\n`)
	}
	p.WriteString(`$`)
	return regexp.MustCompile(p.String())
}

// TestBuild runs what is done where programs are built.
func TestBuild(t *testing.T) {
	lpctl(t)
	for document, prepare := range built {
		t.Run(document, func(t *testing.T) {
			dir := t.TempDir()
			prepare(t, dir)
			runHere(t, document, dir)
		})
	}
}

// TestMachine runs what is done where programs run.
func TestMachine(t *testing.T) {
	names, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(names, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	lpctl(t)
	for document, prepare := range guides {
		t.Run(document, func(t *testing.T) {
			dir := t.TempDir()
			prepare(t, dir)
			at := dir
			if document == "quick-start.md" {
				at = runHere(t, document, dir)
			}
			list := commands(t, document, "console")
			judge(t, document, list, runThere(t, dir, at, prelude+script(list), tools[document]...))
		})
	}
}

// lpctl builds it and puts it first in PATH.
func lpctl(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/lpctl", "lpatch/ctl/lpctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// sources are what the commands use of the repository.
var sources = []string{"Documentation", "kmod", "scripts"}

// runHere runs the blocks marked "console build", in a directory that looks like the repository for them, and returns the one
// that they end in.
func runHere(t *testing.T, document, dir string) string {
	t.Helper()
	for _, name := range sources {
		path, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	list := commands(t, document, "console build")
	end := filepath.Join(t.TempDir(), "pwd")
	cmd := exec.Command("bash", "-c", script(list)+"pwd >"+end)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	judge(t, document, list, string(out))
	for _, name := range sources {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	at, err := os.ReadFile(end)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(at))
}

// prelude makes the machine what the documents take for granted.
// Emulated machines are slow, so each window may take 2 s, and does not get the limit that the documents show.
const prelude = `
mkdir -p /usr/local/sbin
cat >/usr/local/sbin/lpctl <<'EOF'
#!/bin/sh
case $1 in
check|load|apply|restore|unload|revert) exec /usr/local/bin/lpctl "$@" --max-stop 2s ;;
esac
exec /usr/local/bin/lpctl "$@"
EOF
chmod +x /usr/local/sbin/lpctl
exec 2>&1
`

// runThere runs a script in a machine that has a directory and these tools, at a place in it, and returns what it prints.
func runThere(t *testing.T, dir, at, script string, tools ...string) string {
	t.Helper()
	var out bytes.Buffer
	cfg := vm.Config{Kernel: kernel, Dir: at, Files: []vm.File{{Host: dir}}, Stdout: &out, Stderr: &out,
		Script: filepath.Join(t.TempDir(), "script")}
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Files = append(cfg.Files, vm.File{Host: path})
	}
	if err := os.WriteFile(cfg.Script, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := vm.Prepare(cfg, t.Output()); err != nil {
		t.Fatal(err)
	}
	r, err := vm.Run(t.Context(), cfg)
	if err != nil || r.Status != 0 {
		t.Fatalf("status %d, %v\n%s", r.Status, err, &out)
	}
	return out.String()
}

// buildExample does what the quick start does, for the documents that go on from there.
func buildExample(t *testing.T, dir string) {
	t.Helper()
	runHere(t, "quick-start.md", dir)
}

// makeTree makes as much of a kernel's source as scripts/kernel-tree-install looks at (test/tree tests it).
func makeTree(t *testing.T, dir string) {
	t.Helper()
	filetest.Tree(t, dir, map[string]string{
		"Makefile": "PATCHLEVEL = 12\n", "Kconfig": "", "MAINTAINERS": "Maintainers List\n\n", "include/uapi/linux/types.h": "",
		"kernel/Makefile": "obj-y += livepatch/\n", "arch/x86/Kconfig": "source \"kernel/livepatch/Kconfig\"\n",
		"tools/testing/selftests/Makefile": "TARGETS += lkdtm\n", "Documentation/admin-guide/index.rst": "   lockup-watchdogs\n",
	})
}

// makeSystems makes the program of the quick start a project of each build system that the guide for authors tells of.
func makeSystems(t *testing.T, dir string) {
	t.Helper()
	for system, files := range map[string]map[string]string{
		"cmake": {"CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(greet C)\nadd_compile_options(-fno-inline)\nadd_executable(greet greet.c)\n"},
		"meson": {"meson.build": "project('greet', 'c')\nexecutable('greet', 'greet.c', c_args: '-fno-inline')\n"},
		"autotools": {
			"configure.ac": "AC_INIT([greet], [1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
			"Makefile.am":  "bin_PROGRAMS = greet\ngreet_SOURCES = greet.c\nAM_CFLAGS = -fno-inline\n",
		},
	} {
		tree := filepath.Join(dir, system)
		filetest.Tree(t, tree, files)
		for _, name := range []string{"greet.c", "fix.patch"} {
			filetest.Copy(t, filepath.Join(root, "Documentation/example", name), filepath.Join(tree, name))
		}
	}
	configure := exec.Command("autoreconf", "--install")
	configure.Dir = filepath.Join(dir, "autotools")
	if out, err := configure.CombinedOutput(); err != nil {
		t.Fatalf("autoreconf: %v (scripts/deps installs what the guide needs)\n%s", err, out)
	}
}
