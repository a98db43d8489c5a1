// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/apply"
	"lpatch/pkg/build"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// hostileNames are what programs, patches and files may be called to be taken for something else.
var hostileNames = []string{
	"x\nlpctl: applied fix to prog[1]: all is well", "\r\x1b[2K\x1b[31mx", "gpj\u202egnp\u2066", "a\tb\u200b\x7f\u009b", "\xff\xc3(", "\U000e0041", `"\xff"`,
}

// liar is a kernel in which all has one name, and listener of its events.
type liar struct {
	kernel
	name string
	left int // events
}

func (l *liar) report() lpnl.Report {
	return lpnl.Report{Verb: lpnl.VerbApply, Patch: l.name, PID: 1, Comm: l.name, State: lpnl.StateApplied, Message: "of " + l.name, Function: l.name,
		ActiveThreads: 1, ActiveTID: 2, ActiveFunction: l.name, ActivePatch: l.name, Refusal: lpnl.RefusalThreadActive}
}

func (l *liar) Status() ([]lpnl.Report, error) { return []lpnl.Report{l.report()}, nil }
func (l *liar) Boots() ([]lpnl.Boot, error) {
	return []lpnl.Boot{{Patch: l.name, Message: "of " + l.name}}, nil
}
func (l *liar) Info() (lpnl.Info, error)    { return lpnl.Info{}, errors.New("of " + l.name) }
func (l *liar) BootRemove(lpnl.Hash) error  { return errors.New("of " + l.name) }
func (l *liar) Drain() (int, error)         { return 1, nil }
func (l *liar) Close() error                { return nil }
func (l *liar) Gates() ([]lpnl.Gate, error) { return []lpnl.Gate{{PID: 1, TID: 2, Comm: l.name}}, nil }

func (l *liar) Op(lpnl.Verb, lpnl.Hash, lpnl.Target, lpnl.Options) (lpnl.Report, error) {
	return l.report(), &lpnl.Refused{Report: l.report()}
}

func (l *liar) Receive() (lpnl.Report, error) {
	l.left--
	r := l.report()
	switch l.left {
	case 2:
		r.Refusal = lpnl.RefusalNone
	case 1:
	case 0:
		return r, fmt.Errorf("of %s: %w", l.name, lpnl.ErrLost)
	default:
		return r, io.EOF
	}
	return r, nil
}

// lie runs a command where all that is not lpctl's has one name.
func lie(t *testing.T, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	l := &liar{name: name, left: 3}
	root := filepath.Join(t.TempDir(), name+".d")
	h := thisHost()
	h.connect = func() (kernel, error) { return l, nil }
	h.listen = func() (listener, error) { return l, nil }
	h.proc = proc.New(root)
	if err := os.MkdirAll(filepath.Join(root, "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"status": "Tgid:\t1\n", "stat": "1 (" + name + ") S 1 2 3 4 5 0 7 8 9 10 11 12 13 14 15 16 1 0 5 23 24\n", "maps": ""} {
		if err := os.WriteFile(filepath.Join(root, "1", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "ROOT", root)
	}
	var out, errs bytes.Buffer
	h.run(append([]string{"lpctl"}, args...), &out, &errs)
	return out.String(), errs.String()
}

// TestHostileNames: whatever something is called, the output has the lines that it has where all is called "plain", and nothing
// in them is hidden. What is JSON gives the names back as they are.
func TestHostileNames(t *testing.T) {
	for _, command := range []string{
		"status", "status --json", "status --prometheus", "status --vex", "needrestart", "needrestart --json", "status --pid 1", "boot list --root ROOT", "boot list --json --root ROOT",
		"boot sync --json --root ROOT", "boot sync --root ROOT",
		"drain --timeout 0s", "drain --timeout 0s --json", "doctor", "doctor --json", "watch", "watch --json",
		"apply NAME --pid 1", "apply NAME --pid 1 --json", "revert NAME --all --json", "revert NAME --unit NAME", "apply NAME --all", "check NAME --exe NAME/x",
		"apply ROOT/fix.lp --all", "inspect ROOT", "inspect ROOT --json", "NAME", "apply NAME NAME", "apply --NAME", "boot add ROOT/x.lp --root ROOT",
		"boot remove NAME --root ROOT", "verify ROOT", "key add ROOT", "status --cgroup NAME", "build objects --target ROOT --old NAME --new NAME -o ROOT/x",
	} {
		args := strings.Fields(command)
		with := func(name string) []string {
			var out []string
			for _, a := range args {
				out = append(out, strings.ReplaceAll(a, "NAME", name))
			}
			return out
		}
		wantOut, wantErr := lie(t, "plain", with("plain")...)
		for _, name := range hostileNames {
			stdout, stderr := lie(t, name, with(name)...)
			for what, c := range map[string][2]string{"stdout": {wantOut, stdout}, "stderr": {wantErr, stderr}} {
				if strings.Count(c[0], "\n") != strings.Count(c[1], "\n") && !strings.Contains(command, "doctor") {
					t.Errorf("%s, where all is %q: %s has other lines:\n%swhere all is plain:\n%s", command, name, what, c[1], c[0])
				}
				for line := range strings.Lines(c[1]) {
					if line = strings.TrimSuffix(line, "\n"); names.Visible(line) != line {
						t.Errorf("%s, where all is %q: not all of %s is visible: %q", command, name, what, line)
					}
				}
			}
			if strings.Contains(command, "--json") {
				wantNames(t, command, name, stdout)
			}
		}
	}
}

// TestHostileScan: a service and a file may have any name, and what is found out about each is one line.
func TestHostileScan(t *testing.T) {
	for _, name := range hostileNames {
		f := apply.Finding{Service: name, State: apply.ScanPatchable, Patch: &patch.Spec{Name: "fix"}, Path: name, Why: name, OnDisk: name}
		s := apply.Scan{Findings: []apply.Finding{f}}
		var out bytes.Buffer
		if err := scanTable(s.ByService()).Write(&out, 0); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Count(text, "\n") != 2 || names.Visible(strings.ReplaceAll(text, "\n", "")) != strings.ReplaceAll(text, "\n", "") {
			t.Errorf("%q", text)
		}
	}
}

// wantNames wants each line to be an object whose names are this one.
func wantNames(t *testing.T, command, name, stdout string) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var got struct{ Patch, Comm string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Errorf("%s: no JSON: %v\n%s", command, err, line)
		}
		for _, text := range []string{got.Patch, got.Comm} {
			if literal, err := strconv.Unquote(text); err == nil && text[0] == '"' {
				text = literal
			}
			if text != name && text != "" {
				t.Errorf("%s: %q has become %q", command, name, text)
			}
		}
	}
}

// TestHostileJournal: fields end where they end.
func TestHostileJournal(t *testing.T) {
	for _, name := range hostileNames {
		path := t.TempDir() + "/socket"
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		l := &liar{name: name}
		j := &journal{conn: dialTo(t, path)}
		if err := j.send(describeEvent(l.report()), newEventJSON(l.report(), apply.NewAbouts(proc.New("/proc")))); err != nil {
			t.Fatal(err)
		}
		message := make([]byte, 4096)
		n, err := socket.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(message[:n])) {
			line = strings.TrimSuffix(line, "\n")
			if key, _, ok := strings.Cut(line, "="); !ok || strings.ToUpper(key) != key || names.Visible(line) != line {
				t.Errorf("%q: %q", name, line)
			}
		}
		_ = j.Close()
		_ = socket.Close()
	}
}

func dialTo(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestOneWayOut: nothing is printed but by the writers that run makes.
func TestOneWayOut(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || file == "main.go" {
			continue
		}
		for _, way := range []string{"os.Stdout", "os.Stderr", "fmt.Print", "\tprintln(", "log.Print"} {
			if strings.Contains(string(text), way) {
				t.Errorf("%s uses %s; print to c.Writer or c.ErrWriter", file, way)
			}
		}
	}
}

// TestHostileMetrics: a label is one, whatever a patch is called, or the collector would take none of them.
func TestHostileMetrics(t *testing.T) {
	for _, name := range hostileNames {
		l := &liar{name: name}
		boots, _ := l.Boots()
		var plain, out bytes.Buffer
		err := errors.Join(writeMetrics(&plain, append(targetMetrics([]lpnl.Report{{Patch: "plain"}}), bootMetrics([]lpnl.Boot{{Patch: "plain"}})...)),
			writeMetrics(&out, append(targetMetrics([]lpnl.Report{l.report()}), bootMetrics(boots)...)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "\n") != strings.Count(plain.String(), "\n") {
			t.Errorf("%q: other lines:\n%s", name, &out)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); names.Visible(line) != line {
				t.Errorf("%q: not all is visible: %q", name, line)
			}
		}
	}
}

// TestHostileSymbols: the symbols of a patch file are no part of what is checked of it, and show in a disassembly as one name each.
func TestHostileSymbols(t *testing.T) {
	spec, err := applytest.Spec("fix", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	disassembled := func(name string) string {
		const page = 0x1000
		code := []byte{0xe8, 0xfb, 0xff, 0xff, 0xff, 0xc3} // call to the begin; ret
		data, err := patch.Encode(&patch.Content{
			Spec: spec,
			Sections: []patch.Section{
				{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: page, Align: 16, Data: code},
				{Name: ".rodata", Flags: elf.SHF_ALLOC, Addr: 2 * page, Align: 16, Data: make([]byte, 16)},
			},
			Symbols: []patch.Symbol{{Name: name, Addr: page, Size: uint64(len(code)), Func: true}},
		})
		path := filepath.Join(t.TempDir(), "fix.lp")
		if err = errors.Join(err, os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if status := thisHost().run([]string{"lpctl", "inspect", "--disassemble", path}, &out, &errs); status != 0 || errs.Len() > 0 {
			t.Fatalf("%q: exit status %d: %s", name, status, &errs)
		}
		return out.String()
	}
	plain := disassembled("plain")
	if strings.Count(plain, "plain") < 2 {
		t.Fatalf("the name is not in the code:\n%s", plain)
	}
	for _, name := range hostileNames {
		got := disassembled(strings.ReplaceAll(name, "\x00", ""))
		if strings.Count(got, "\n") != strings.Count(plain, "\n") {
			t.Errorf("%q: other lines:\n%s", name, got)
		}
		for line := range strings.Lines(got) {
			if line = strings.TrimSuffix(line, "\n"); names.Visible(line) != line {
				t.Errorf("%q: not all is visible: %q", name, line)
			}
		}
	}
}

// TestSeveralLines: what a linker said of a fix keeps its lines, and a name of several has one.
func TestSeveralLines(t *testing.T) {
	var stdout, stderr bytes.Buffer
	app := thisHost().newApp(names.Writer{To: &stdout, Lines: true}, names.Writer{To: &stderr, Symbols: true})
	_ = writePackage(app, &build.PackageResult{Refused: []build.RefusedFix{{Name: "a\nlpctl: b", Why: "ld: one\nld: two"}}})
	if want := `lpctl: without a\nlpctl: b: ld: one` + "\nld: two\n"; stderr.String() != want {
		t.Errorf("%q, want %q", &stderr, want)
	}
}
