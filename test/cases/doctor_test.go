// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDoctor asks whether the machine is able, as it is here. The kernels that are built for tests have task_work_add as
// mainline has it: not exported.
//
//machine:only 6.12
func TestDoctor(t *testing.T) {
	found := "task_work_add found by export"
	switch {
	case builtIn():
		found = "lpatch is built into this kernel"
	case looksForErrors(), strings.HasPrefix(os.Getenv("LPATCH_KERNEL"), "tree-"):
		found = "task_work_add found by kprobe"
	}
	status, stdout, stderr := lpctl(t, "doctor")
	if status != 0 || strings.Contains(stdout, "FAIL") || !strings.Contains(stdout, found) {
		t.Fatalf("doctor: %d\n%s%s", status, stdout, stderr)
	}
}

// kernelRelease is what the kernel calls itself.
func kernelRelease(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(name.Release[:])
}

// wantFinding runs doctor, which must find exactly this one thing, but for the width of its columns.
func wantFinding(t *testing.T, cmd *exec.Cmd, line string) {
	t.Helper()
	status, stdout, stderr := run(t, cmd)
	columns := regexp.MustCompile("  +")
	if status != 1 || stderr != "" || columns.ReplaceAllString(stdout, "  ") != line+"\n" {
		t.Fatalf("doctor: %d\n%s%swant\n%s", status, stdout, stderr, line)
	}
}

// TestDoctorInContainer asks in namespaces in which lpctl would not work, or not see all, although it is root.
//
//machine:only 6.12
func TestDoctorInContainer(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1<<32 - 1}} // all: the map looks like that of the initial one
	for name, c := range map[string]struct {
		as   *syscall.SysProcAttr
		want string
	}{
		"pids": {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID},
			"FAIL  processes  /proc shows the processes of another pid namespace than that of lpctl; run lpctl outside of the container"},
		"network": {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
			"FAIL  module  lpatch is loaded, and not to be seen from this network namespace; run lpctl outside of the container"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("lpctl", "doctor", "--quiet")
			cmd.SysProcAttr = c.as
			status, stdout, stderr := run(t, cmd)
			got := regexp.MustCompile("  +").ReplaceAllString(stdout, "  ")
			if status != 1 || !strings.Contains(got, c.want+"\n") {
				t.Errorf("doctor: %d\n%s%swant\n%s", status, got, stderr, c.want)
			}
		})
	}
	cmd := exec.Command("lpctl", "doctor", "--quiet")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids}
	status, stdout, _ := run(t, cmd)
	if want := "capabilities  this is not the initial user namespace; run lpctl outside of the container\n"; status != 1 ||
		!strings.Contains(stdout, want) {
		t.Errorf("doctor: %d\n%swant\n%s", status, stdout, want)
	}
}

// TestSignatureDoctor asks while the kernel wants signatures, and the keyring is empty, has a key, and has one that has expired.
//
//machine:only 6.12
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureDoctor(t *testing.T) {
	doctor := func() *exec.Cmd { return exec.Command("lpctl", "doctor", "--quiet") }
	requireSignatures(t).Close()
	wantFinding(t, doctor(), "FAIL  signatures  patches must be signed, and the keyring .lpatch has no key, so no patch can be applied; "+
		"\"lpctl key add CERT\" puts one in")
	brief := newIdentity(t, "brief", 1, 20*time.Second)
	requireSignatures(t, brief).Close()
	wantDoctor(t, `^ok +signatures +patches must be signed by a key in the keyring \.lpatch, which has 1, see "lpctl key"$`)
	time.Sleep(time.Until(brief.cert.NotAfter) + time.Second)
	wantFinding(t, doctor(), "FAIL  signatures  patches must be signed, and no key in the keyring .lpatch is valid any more, so no patch "+
		"can be applied; \"lpctl key add CERT\" puts another in")
}
