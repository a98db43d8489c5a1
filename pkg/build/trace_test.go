// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tracedCommand returns a command that is traced like a build, in a directory of its own, and the directory of its objects.
func tracedCommand(t *testing.T, script string) (cmd *exec.Cmd, objects string) {
	t.Helper()
	if !canTrace() {
		t.Skip("nothing may be traced here")
	}
	dir := t.TempDir()
	s := newShims(t, dir)
	if err := s.write(s.bin, nil); err != nil {
		t.Fatal(err)
	}
	env, by := s.around(true)
	cmd = exec.Command(by[0], append(by[1:], "sh", "-ec", script)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, s.objects
}

// killedMakers kills processes while they create others, which hold a pipe open until all of them have exited.
const killedMakers = `#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	int p[2];
	char c;
	if (pipe(p))
		return 2;
	for (int i = 0; i < 1500; i++) {
		pid_t maker = fork();
		if (maker < 0)
			return 3;
		if (maker == 0) {
			for (int n = 0; n < 1000; n++)
				if (fork() == 0)
					_exit(0);
			pause();
		}
		usleep(rand() % 900);
		kill(maker, SIGKILL);
		waitpid(maker, 0, 0);
	}
	close(p[1]);
	return read(p[0], &c, 1) != 0;
}
`

// TestTraceKilledMaker checks that a process continues whose parent is killed before it has reported the fork.
func TestTraceKilledMaker(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/x.c", []byte(killedMakers))
	if out, err := exec.Command("gcc", "-o", dir+"/x", dir+"/x.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	cmd, _ := tracedCommand(t, "exec "+dir+"/x")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tooLate := time.AfterFunc(90*time.Second, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	defer tooLate.Stop()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// background waits for the process whose PID a script has written.
func background(t *testing.T, file string) int {
	t.Helper()
	for range 2000 {
		data, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSuffix(string(data), "\n")); err == nil && bytes.HasSuffix(data, []byte("\n")) {
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("there is no %s", file)
	return 0
}

// stateOf returns the state of a process, such as R, S, T or Z; "" if it does not exist.
func stateOf(pid int) string {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.Fields(rest + " -")[0]
}

// TestTraceEnds checks that no process of a build outlives its tracer, and that processes which outlive the build continue.
func TestTraceEnds(t *testing.T) {
	cmd, _ := tracedCommand(t, "setsid sleep 600 & echo $! >pid; wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := background(t, cmd.Dir+"/pid")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for i := 0; !slices.Contains([]string{"-", "Z", "X"}, stateOf(pid)); i++ {
		if i == 500 {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatalf("%d lives on (%s) without its tracer", pid, stateOf(pid))
		}
		time.Sleep(10 * time.Millisecond)
	}

	cmd, _ = tracedCommand(t, "{ while ! [ -e go ]; do sleep 0.1; done; echo well >done; } >/dev/null 2>&1 & sleep 600 >/dev/null 2>&1 & echo $! >pid; exit 3")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%v, want status 3", err)
	}
	pid = background(t, cmd.Dir+"/pid")
	defer func() { _ = unix.Kill(pid, unix.SIGKILL) }()
	if state := stateOf(pid); !slices.Contains([]string{"R", "S", "D"}, state) {
		t.Errorf("the process that was left behind is in state %s", state)
	}
	write(t, cmd.Dir+"/go", nil)
	for i := 0; ; i++ {
		if data, _ := os.ReadFile(cmd.Dir + "/done"); string(data) == "well\n" {
			break
		}
		if i == 1000 {
			t.Fatal("the loop that was left behind does not go on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestTraceTools checks that programs which are not tools are executed unmodified, with their exit status.
func TestTraceTools(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const small = `echo 'void _start(void) { __asm__("mov $1, %eax; xor %ebx, %ebx; int $0x80"); }' | gcc -m32 -nostdlib -static -fno-pic -x c -`
	for name, tt := range map[string]struct{ script, refused string }{
		"shown":         {script: "echo 'int f;' >f.c; gcc -### -c f.c 2>&1 | grep -q cc1; gcc -### -c f.c 2>log; ! [ -e f.o ]; if gcc -### -c f.c --absent 2>log; then exit 9; fi"},
		"cc1":           {script: "echo 'int f;' >f.c; clang-14 -cc1 -emit-obj -o f.o f.c; clang-14 -cc1 -S -o f.s f.c; clang-14 -cc1as -filetype obj -triple x86_64-linux-gnu -o g.o f.s"},
		"lpctl as gcc":  {script: "mkdir d; ln -s " + self + " d/gcc; PATH=$PWD/d:$PATH LPATCH_SHIM=$PWD/d LPATCH_SHIM_PATH=$PATH gcc --version >log; grep -qi gcc log"},
		"copy of lpctl": {script: "mkdir a b; cp " + self + " a/gcc; cp a/gcc b; LPATCH_SHIM=$PWD LPATCH_SHIM_PATH=$PWD/a:$PWD/b:$PATH a/gcc --version >log; grep -qi gcc log"},
		"many tools":    {script: "gcc -x c -o llvm - <many.c; ln -s llvm llvm-ar; ln -s llvm objcopies; ./llvm-ar; ./objcopies"},
		"one of many":   {script: "gcc -x c -o llvm - <many.c; ./llvm clang", refused: "./llvm has several tools in one, and which of them it is to be is not known from its name: have the build call it as clang, clang++ or what else it is to be"},
		"one text":      {script: "gcc -x c -o mine - <one.c; ./mine"},
		"32 bits":       {script: small + " -o mine; ./mine"},
		"gcc of 32 bits": {
			script:  small + " -o cc; ./cc",
			refused: "/cc could not be replaced with lpctl's own: it is a program of 32 bits; have the build call a gcc or clang for 64 bits",
		},
		"gone meanwhile": {script: "for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & kill -9 $!; done"},
		"unreadable": {
			script:  "cp /bin/true mine; chmod 0111 mine; ./mine",
			refused: "it is not known whether the build calls a compiler: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(tt.script, "clang-14") {
				if _, err := exec.LookPath("clang-14"); err != nil {
					t.Skip(err)
				}
			}
			if name == "unreadable" && os.Getuid() == 0 {
				t.Skip("root reads everything")
			}
			cmd, objects := tracedCommand(t, tt.script)
			// they fail if lpctl adds arguments
			const program = "\nint main(int c, char **v) { return c != 1 && v[1][0] == '-'; }\n"
			write(t, cmd.Dir+"/many.c", []byte(`char s[] = "-cc1gen-reproducer unknown integrated tool llvm toolchain driver";`+program))
			write(t, cmd.Dir+"/one.c", []byte(`char s[] = "-cc1gen-reproducer";`+program))
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "Exec format error") {
				t.Skip("this kernel runs no programs of 32 bits")
			} else if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			got := ""
			var refusals Refusals
			if errors.As(readRefused(objects, "T"), &refusals) {
				got = refusals[0].Text
			}
			if tt.refused == "" && got != "" || !strings.Contains(got, tt.refused) {
				t.Errorf("refused: %q, want %q", got, tt.refused)
			}
		})
	}
}

// TestRefuseBuild checks that the first refusal counts, and that a failure to write it is an error.
func TestRefuseBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(shimObjEnv, dir)
	for _, text := range []string{"first", "second"} {
		if err := refuseBuild(errors.New(text)); err != nil {
			t.Fatal(err)
		}
	}
	var refusals Refusals
	if err := readRefused(dir, "T"); !errors.As(err, &refusals) || refusals[0].Text != "first" {
		t.Errorf("%v, want the first", err)
	}
	t.Setenv(shimObjEnv, filepath.Join(dir, "absent"))
	if err := refuseBuild(errors.New("third")); err == nil {
		t.Error("no error where a refusal cannot be written")
	}
	cmd, objects := tracedCommand(t, "gcc -x c -o llvm - <many.c; rmdir \"$O\" || rm -r \"$O\"; ./llvm; echo went on")
	write(t, cmd.Dir+"/many.c", []byte(`char s[] = "llvm toolchain driver"; int main(void) { return 0; }`))
	cmd.Env = append(cmd.Env, "O="+objects)
	if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "went on") || !strings.Contains(string(out), "lpctl: as lpctl-trace: open ") {
		t.Errorf("%v; want an end with the error:\n%s", err, out)
	}
}

// TestUntraced checks the warning and the advice for builds that could not be traced.
func TestUntraced(t *testing.T) {
	dir := t.TempDir()
	if isUntraced(dir) || seenCompilers(false) != "gcc, g++ or clang that the build itself starts" {
		t.Error("traced builds are taken for others")
	}
	write(t, filepath.Join(dir, untracedFile), nil)
	b := &builder{o: Options{Old: []string{dir}}, res: &Result{}}
	b.warnUntraced()
	const want = "the builds were not traced, as tracing (ptrace) is not permitted here: only compilers, assemblers and linkers that were called by name were seen, " +
		"and what others make must be the same in both builds; where the build calls some by path, have tracing permitted (of a container: --cap-add SYS_PTRACE)"
	if len(b.res.Warnings) != 1 || b.res.Warnings[0] != want || !b.untraced {
		t.Errorf("warnings %q, want %q", b.res.Warnings, want)
	}
	if got := seenCompilers(b.untraced); got != "gcc, g++ or clang, called by name, as tracing (ptrace) is not permitted here" {
		t.Error(got)
	}
}
