// SPDX-License-Identifier: GPL-2.0

// Package debuggers asks debuggers and profilers about a process that has a patch: it applies one to itself as the kernel would, and sleeps in a
// function that the patch calls. The file of the patch is mapped, or a copy without a path, as a signed one is.
package debuggers

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/build"
	"lpatch/pkg/patch"
	"lpatch/test/patches/load"
)

// extension is what tells gdb of patches.
const extension = "../../scripts/packaging/gdb/lpatch.py"

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatalf("%s is needed (make deps): %v", tool, err)
	}
}

// sleeper is a process that sleeps below a patched function.
type sleeper struct {
	dir, prog, lp string
	pid           int
}

// makeProgram makes the program and the patch.
func makeProgram(t *testing.T) *sleeper {
	t.Helper()
	dir := t.TempDir()
	s := &sleeper{dir: dir, prog: dir + "/prog", lp: dir + "/fix.lp"}
	for _, side := range []string{"old", "new"} {
		if err := os.Mkdir(dir+"/"+side, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "gcc", "-g", "-O2", "-fPIE", "-ffunction-sections", "-D"+strings.ToUpper(side), "-c", "testdata/work.c", "-o", dir+"/"+side+"/work.o")
	}
	run(t, "gcc", "-g", "-O2", "-fPIE", "-pie", "-o", s.prog, "testdata/main.c", "../patches/load/testdata/lpload.c", dir+"/old/work.o")
	res, err := build.FromObjects(build.Options{Target: s.prog, Old: []string{dir + "/old"}, New: []string{dir + "/new"}, Name: "fix", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.lp, res.Data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load.WritePlan(s.lp, dir+"/plan"); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts the program, with the patch mapped from a copy without a path if nameless, and waits until it is in the patch.
func (s *sleeper) start(t *testing.T, nameless bool, env ...string) {
	t.Helper()
	cmd := exec.Command(s.prog)
	lp := s.lp
	if nameless {
		lp = "/proc/self/fd/3"
		cmd.ExtraFiles = []*os.File{s.copy(t)}
	}
	cmd.Env = append(os.Environ(), "LP="+lp, "PLAN="+s.dir+"/plan")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "there\n" {
		t.Fatalf("%q, %v", line, err)
	}
	s.pid = cmd.Process.Pid
}

// copy is a file without a path that has the patch, and is named as the kernel names that of a signed one.
func (s *sleeper) copy(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("lpatch:fix", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "copy")
	t.Cleanup(func() { _ = f.Close() })
	data, err := os.ReadFile(s.lp)
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// both runs a test for a patch that is mapped from its file, and for one that is mapped from a copy without a path.
func both(t *testing.T, test func(t *testing.T, s *sleeper, nameless bool)) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	s := makeProgram(t)
	t.Run("file", func(t *testing.T) { test(t, s, false) })
	t.Run("nameless", func(t *testing.T) { test(t, s, true) })
}

// whole is a backtrace in which the functions of the patch are between those of the program.
var whole = regexp.MustCompile(`(?s) nap \(.* rest \(.* work \(.* main \(`)

const unknown = `and its symbols are not known; "lpatch-symbols FILE.lp" takes them from its file`

func gdb(t *testing.T, args ...string) string {
	t.Helper()
	need(t, "gdb")
	if _, err := os.ReadFile(extension); err != nil { // so that go test knows what the result depends on
		t.Fatal(err)
	}
	out, _ := exec.Command("gdb", append([]string{"-nx", "-batch", "-iex", "set debuginfod enabled off"}, args...)...).CombinedOutput()
	return string(out)
}

// TestGdb attaches gdb, and has it read a core file.
func TestGdb(t *testing.T) {
	both(t, func(t *testing.T, s *sleeper, nameless bool) {
		s.start(t, nameless)
		core, pid := filepath.Join(t.TempDir(), "core"), fmt.Sprint(s.pid)
		know := func(args ...string) []string { return append([]string{"-iex", "source " + extension}, args...) }
		if out := gdb(t, know("-p", pid, "-ex", "bt", "-ex", "generate-core-file "+core)...); !whole.MatchString(out) {
			t.Errorf("attached, it says\n%s", out)
		}
		if out := gdb(t, "-p", pid, "-ex", "bt"); whole.MatchString(out) {
			t.Errorf("without the extension, too:\n%s", out)
		}
		read := func(args ...string) string { return gdb(t, know(append(args, s.prog, core, "-ex", "bt")...)...) }
		out := read()
		if !nameless {
			if !whole.MatchString(out) {
				t.Errorf("of a core file it says\n%s", out)
			}
			return
		}
		if !regexp.MustCompile(`lpatch: patch fix is mapped at 0x[0-9a-f]+, ` + unknown).MatchString(out) {
			t.Errorf("of a core file without the patch's file it says\n%s", out)
		}
		if out := read("-ex", "lpatch-symbols "+s.lp); !whole.MatchString(out) {
			t.Errorf("told of the file it says\n%s", out)
		}
		if out := read("-iex", "set debug-file-directory "+byBuildID(t, s.lp)); !whole.MatchString(out) {
			t.Errorf("with the file among debug files it says\n%s", out)
		}
		if out := read("-iex", fmt.Sprintf("python STORE = %q", s.dir)); !whole.MatchString(out) {
			t.Errorf("with the file among boot entries it says\n%s", out)
		}
	})
}

// TestHostileGdb has a process map what it has named itself: gdb shows such a name as text, and opens no device to see what it is.
func TestHostileGdb(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out := gdb(t, "-iex", "source "+extension,
		"-ex", `python PATCHES.search(gdb.selected_inferior(), Mapping(4096, 8192, "/memfd:lpatch:a\n\x1b[2J\u202e\udcffb"), None)`,
		"-ex", "python import sys; sys.addaudithook(lambda event, args: event == 'open' and not args[2] & os.O_PATH and print('opened', args[0]))",
		"-ex", fmt.Sprintf("python read_patch(%q)", fifo))
	want := `lpatch: patch a\n\x1b[2J\u202e\udcffb is mapped at 0x1000, ` + unknown + "\n"
	if rest, ok := strings.CutPrefix(out, want); !ok || !strings.Contains(rest, "OSError: another file") || strings.Contains(rest, "opened "+fifo) {
		t.Errorf("%q, want it to begin with %q, and the FIFO not to be opened", out, want)
	}
}

// byBuildID is a directory of debug files that has a patch.
func byBuildID(t *testing.T, lp string) string {
	t.Helper()
	f, err := patch.Open(lp)
	if err != nil {
		t.Fatal(err)
	}
	dir, id := t.TempDir(), fmt.Sprintf("%x", []byte(f.BuildID))
	if err := os.MkdirAll(filepath.Join(dir, ".build-id", id[:2]), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(lp, filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEuStack walks through the patch; of one without a path it has no names, which the file has for the addresses in the patch.
func TestEuStack(t *testing.T) {
	need(t, "eu-stack")
	both(t, func(t *testing.T, s *sleeper, nameless bool) {
		s.start(t, nameless)
		out := run(t, "eu-stack", "-p", fmt.Sprint(s.pid))
		if !nameless {
			if !regexp.MustCompile(`(?s) nap\n.* rest\n.* work\n.* main\n`).MatchString(out) {
				t.Errorf("%s", out)
			}
			return
		}
		frames := regexp.MustCompile(` nap\n#\d+ +0x(\w+)\n#\d+ +0x\w+\n#\d+ +0x\w+ main\n`).FindStringSubmatch(out)
		if frames == nil {
			t.Fatalf("%s", out)
		}
		at, err := strconv.ParseUint(frames[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		wantRest(t, s, at-s.mappedAt(t))
	})
}

// mappedAt is where the patch is.
func (s *sleeper) mappedAt(t *testing.T) uint64 {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	var at uint64
	line := regexp.MustCompile(`(?m)^.*lpatch:fix.*$`).FindString(string(maps))
	if _, err := fmt.Sscanf(line, "%x-", &at); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return at
}

// wantRest wants the file of the patch to say that rest() is at an address of it.
func wantRest(t *testing.T, s *sleeper, at uint64) {
	t.Helper()
	if out := run(t, "addr2line", "-f", "-e", s.lp, fmt.Sprintf("%#x", at)); !strings.HasPrefix(out, "rest\n") {
		t.Errorf("%#x is %s", at, out)
	}
}

// TestPerf samples the patch by its names, or, without a path, by addresses that are those of its file.
func TestPerf(t *testing.T) {
	need(t, "perf")
	both(t, func(t *testing.T, s *sleeper, nameless bool) {
		s.start(t, nameless, "SPIN=1")
		data := filepath.Join(t.TempDir(), "data")
		want := regexp.MustCompile(`rest +fix\.lp`)
		if nameless {
			want = regexp.MustCompile(`0x([0-9a-f]+) +\S*lpatch:fix \(deleted\)`)
		}
		out := ""
		for range 10 { // a sample needs a processor, which others have
			run(t, "perf", "record", "-q", "-e", "cpu-clock", "-o", data, "-p", fmt.Sprint(s.pid), "--", "sleep", "1")
			out = run(t, "perf", "report", "-i", data, "--stdio", "-F", "sym,dso")
			if found := want.FindStringSubmatch(out); found != nil {
				if nameless {
					at, err := strconv.ParseUint(found[1], 16, 64)
					if err != nil {
						t.Fatal(err)
					}
					wantRest(t, s, at)
				}
				return
			}
		}
		t.Errorf("%s", out)
	})
}

// TestBpftrace counts stacks by their names, with a path or without.
func TestBpftrace(t *testing.T) {
	need(t, "bpftrace")
	both(t, func(t *testing.T, s *sleeper, nameless bool) {
		s.start(t, nameless, "SPIN=1")
		program := fmt.Sprintf("profile:hz:99 /pid == %d/ { @[ustack(1)] = count(); @n = @n + 1; if (@n > 20) { exit(); } }", s.pid)
		out, err := exec.Command("bpftrace", "-e", program).CombinedOutput()
		if err != nil && regexp.MustCompile(`(?i)permitted|permission`).Match(out) {
			t.Skipf("%s", out)
		}
		if err != nil || !regexp.MustCompile(`(?m)^ +rest\+\d+$`).Match(out) {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
