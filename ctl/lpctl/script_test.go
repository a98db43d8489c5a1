// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lpatch/pkg/boot"
	"lpatch/pkg/build"
	"lpatch/pkg/doctor"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/lpnltest"
	"lpatch/pkg/version"
)

// kernelFile names, in the environment, the file that has the state of the fake kernel. No file, no module.
const kernelFile = "LPCTL_TEST_KERNEL"

// These name, in the environment, files in place of the kernel's command line and its name for the boot, and a directory in place
// of the machine's root.
const (
	commandLineFile = "LPCTL_TEST_CMDLINE"
	bootIDFile      = "LPCTL_TEST_BOOT_ID"
	rootDirectory   = "LPCTL_TEST_ROOT"
)

// procDirectory names, in the environment, the directory in place of /proc; see visible.
const procDirectory = "LPCTL_TEST_PROC"

// keyCount has, in the environment, how many keys in the keyring are usable, and how many have ended.
const keyCount = "LPCTL_TEST_KEYS"

// elsewhereText is, in the environment, why the kernel runs another system.
const elsewhereText = "LPCTL_TEST_ELSEWHERE"

func TestMain(m *testing.M) {
	if build.IsShim(os.Args[0]) {
		os.Exit(build.ShimMain(os.Args))
	}
	testscript.Main(m, map[string]func(){
		"lpctl": func() {
			h := thisHost()
			h.connect, h.machine, h.countKeys, h.elsewhere = connectFake, fakeMachine, fakeKeys, fakeElsewhere
			h.commandLinePath = cmp.Or(os.Getenv(commandLineFile), h.commandLinePath)
			h.bootIDPath = cmp.Or(os.Getenv(bootIDFile), h.bootIDPath)
			h.proc = proc.New(visible(os.Getenv(procDirectory)))
			h.registry = boot.Registry{Root: cmp.Or(os.Getenv(rootDirectory), "/"), Owner: os.Getuid()}
			os.Exit(h.run(os.Args, os.Stdout, os.Stderr))
		},
	})
}

// visible completes a directory in place of /proc with those processes that can be looked at: a container may hide its first
// one even from root, which lpctl tells of. Scripts add those that cannot be.
func visible(directory string) string {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || directory == "" || os.MkdirAll(directory, 0o755) != nil {
		return "/proc"
	}
	for _, p := range all {
		if _, err := os.ReadFile(p + "/maps"); err == nil {
			_ = os.Symlink(p, filepath.Join(directory, filepath.Base(p)))
		}
	}
	return directory
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv(kernelFile, e.WorkDir+"/kernel.json")
			e.Setenv(procDirectory, e.WorkDir+"/visible")
			e.Setenv("TZ", "UTC")
			e.Setenv("VERSION", version.Number)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, errors.New("unknown condition " + cond)
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sleeper":   cmdSleeper,
			"mkpatch":   cmdMkpatch,
			"status":    cmdStatus,
			"mkprogram": func(ts *testscript.TestScript, _ bool, args []string) { makeSleep(ts, ts.MkAbs(args[0])) },
			"cut":       cmdCut,
			"scrape":    cmdScrape,
		},
	})
}

// cmdStatus runs a command that must end with a certain status: status N COMMAND ARGUMENTS.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// cmdSleeper runs a program until the script ends: sleeper VARIABLE PROGRAM. It sets the variable to the pid.
func cmdSleeper(ts *testscript.TestScript, _ bool, args []string) {
	program := ts.MkAbs(args[1])
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		makeSleep(ts, program)
	}
	cmd := exec.Command(program, "100")
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
}

// makeSleep copies sleep, with a build-id of the script's own, so that no other process of this machine is a target.
func makeSleep(ts *testscript.TestScript, program string) {
	f, err := lpelf.Open("/bin/sleep")
	ts.Check(err)
	id := sha256.Sum256([]byte(ts.Getenv("WORK")))
	own := id[:len(f.BuildID())]
	ts.Setenv("BUILDID", hex.EncodeToString(own))
	data := bytes.ReplaceAll(f.Data, f.BuildID(), own)
	// No other script may fork meanwhile: its child would have the file open for writing, and nobody could execute it.
	syscall.ForkLock.RLock()
	err = os.WriteFile(program, data, 0o755)
	syscall.ForkLock.RUnlock()
	ts.Check(err)
}

// cmdCut copies the beginning of a file: cut FROM TO BYTES.
func cmdCut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0])[:n]), 0o644))
}

// cmdMkpatch makes a patch file for a program: mkpatch FILE NAME PROGRAM [BUILD-ID [DESCRIPTION [ABOUT]]].
func cmdMkpatch(ts *testscript.TestScript, _ bool, args []string) {
	spec, err := applytest.Spec(args[1], ts.MkAbs(args[2]))
	ts.Check(err)
	if len(args) > 4 {
		spec.Description = args[4]
	}
	if len(args) > 5 {
		spec.About, err = patch.ReadAbout(ts.MkAbs(args[5]))
		ts.Check(err)
	}
	if len(args) > 3 && args[3] != "" {
		var id patch.Hex
		ts.Check(id.UnmarshalText([]byte(args[3])))
		spec.Images[0].BuildID = id
	}
	ts.Check(applytest.Write(ts.MkAbs(args[0]), spec))
}

// fakeConn saves the fake kernel's state when it is closed.
type fakeConn struct {
	*lpnl.Client
	state *lpnltest.Kernel
	path  string
}

func (c *fakeConn) Close() error {
	text, err := json.Marshal(c.state)
	if err != nil {
		return err
	}
	return errors.Join(c.Client.Close(), os.WriteFile(c.path, text, 0o644))
}

// fakeMachine is what doctor looks at.
func fakeMachine() (doctor.Machine, error) {
	root := os.Getenv(rootDirectory)
	return doctor.Machine{Root: root, Proc: root + "/proc", PID: 7, Release: "6.1.0-56-amd64", Arch: "x86_64",
		Registry: boot.Registry{Root: root, Owner: os.Getuid()}}, nil
}

// fakeElsewhere is an error for the text that is in the environment, if there is one.
func fakeElsewhere() error {
	if text := os.Getenv(elsewhereText); text != "" {
		return errors.New(text)
	}
	return nil
}

func fakeKeys(int) (usable, ended int, err error) {
	_, err = fmt.Sscan(os.Getenv(keyCount), &usable, &ended)
	return usable, ended, err
}

func connectFake() (kernel, error) {
	c := &fakeConn{state: &lpnltest.Kernel{}, path: os.Getenv(kernelFile)}
	text, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.state.Absent = true
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("$VERSION"), []byte(version.Number)), c.state); err != nil {
			return nil, err
		}
	}
	client, err := c.state.Client()
	if err != nil {
		return nil, err
	}
	c.Client = client
	return c, nil
}
