// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

// The cases TestHostile… take the side of a user without privileges: he may start what he likes, and the machine, root's
// operations and other people's programs must not notice. His programs are those of test/hostile. The cases are here, and not
// beside them, because they need the clients, patches and victims of the others, and run in the same machines.

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// attackers is where test/fixtures puts the programs of test/hostile.
const attackers = fixtures + "hostile/"

// attack starts a program as nobody, and waits until it does what it is for. The function ends it, before the test does.
func attack(t *testing.T, name string, args ...string) (v *victim, end func()) {
	t.Helper()
	cmd := exec.Command(attackers+name, args...)
	cmd.SysProcAttr = nobody()
	cmd.SysProcAttr.Setpgid = true
	v = startCommand(t, cmd)
	end = func() {
		_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL)
		_ = v.cmd.Wait()
	}
	t.Cleanup(end)
	return v, end
}

// errLate is for what goes on.
var errLate = errors.New("it has not ended")

// begin does something meanwhile; the function waits for its outcome, but no longer than so.
func begin(do func() error) (outcome func(time.Duration) error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	return func(limit time.Duration) error {
		if limit > 0 {
			select {
			case err := <-done:
				done <- err
			case <-time.After(limit):
			}
		}
		select { // of two that are ready, select takes either
		case err := <-done:
			done <- err
			return err
		default:
			return errLate
		}
	}
}

// lendFUSE lets everybody mount FUSE in namespaces of his own, as udev does.
func lendFUSE(t *testing.T) {
	t.Helper()
	loadKernels(t, "fuse", "")
	if err := os.Chmod("/dev/fuse", 0o666); err != nil {
		t.Fatal(err)
	}
}

// codeOf says where the code of a program is in its file: from where, and how many bytes.
func codeOf(t *testing.T, path string) (offset, length uint64) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range f.Progs {
		if s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 {
			return s.Off &^ (pageSize - 1), s.Off%pageSize + s.Filesz
		}
	}
	t.Fatalf("%s has no code", path)
	return 0, 0
}

// mapping are the arguments with which attackers map a program.
func mapping(t *testing.T, path string) []string {
	t.Helper()
	offset, length := codeOf(t, path)
	return []string{path, fmt.Sprint(offset), fmt.Sprint(length)}
}

// TestHostileListen has nobody listen while a boot entry is applied to a program of root's: not a word comes to him, nor does
// the module answer him.
//
//machine:preempts
func TestHostileListen(t *testing.T) {
	_, family := dialFamily(t)
	s, said := startSpy(t, fmt.Sprint(family.Groups[0].ID), nobody())
	for way, answer := range said {
		if answer != "operation not permitted" {
			t.Errorf("nobody joins the group by %s: %s", way, answer)
		}
	}
	c := dial(t)
	addBoot(t, c, rawPatch(t, fixtures+"start", "value"), 0)
	if got := exitOf(t, fixtures+"start"); got != 2 {
		t.Fatalf("the program exits with %d, want 2", got)
	}
	s.wantHeard(family.ID, 0)
	for _, args := range [][]string{{"status"}, {"boot", "list"}, {"boot", "remove", "raw"}} {
		cmd := exec.Command("lpctl", args...)
		cmd.SysProcAttr = nobody()
		if status, stdout, stderr := run(t, cmd); status == 0 || stdout != "" {
			t.Errorf("nobody's lpctl %s exits with %d: %s%s", strings.Join(args, " "), status, stdout, stderr)
		}
	}
}

// patiently are the limits of operations on hostile targets, which may use all of their time.
var patiently = lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: patience(5 * time.Second)}

// wantAnswer wants an operation to have been done or refused with a sentence, and says which.
func wantAnswer(t *testing.T, verb lpnl.Verb, err error) (done bool) {
	t.Helper()
	var refused *lpnl.Refused
	if err != nil && (!errors.As(err, &refused) || refused.Report.Message == "") {
		t.Fatalf("%s: %v, which is no sentence", verb, err)
	}
	return err == nil
}
