// SPDX-License-Identifier: GPL-2.0

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/sandbox"
	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/testutil/sandboxtest"
)

// says runs a script and returns its output.
func says(t *testing.T, s *sandbox.Sandbox, j sandbox.Job, script string) string {
	t.Helper()
	j.Name, j.Args = "job", []string{"bash", "-c", script}
	out, err := s.Output(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// users lists the users that execute untrusted programs.
var users = map[string]sandbox.User{"build": sandbox.Builder, "install": sandbox.Installer}

// TestHostileEscape tries to escape to the root directory, devices and processes of the machine.
func TestHostileEscape(t *testing.T) {
	s := sandboxtest.New(t)
	secret := filepath.Join(t.TempDir(), "secret")
	filetest.Tree(t, filepath.Dir(secret), map[string]string{"secret": "of this machine"})
	const script = `cd /tmp
mkdir -p jail here
try() { "$@" >/dev/null 2>&1 && echo "done: $*"; }
try chroot jail true
try chroot . /bin/true
try mount -t proc none here
try mount -t tmpfs none here
try mount --bind / here
try mount -o remount,rw /dev
try umount -l /proc
try mknod disk b "$disk" 0
try mknod memory c 1 1
try unshare --user --map-root-user true
try unshare --mount true
try nsenter --target 1 --mount true
try nsenter --target "$pid" --mount true
try kill -0 "$pid"
try grep -qx "$comm" /proc/[0-9]*/comm
try touch /dev/new
try sh -c ': >/proc/sysrq-trigger'
try sh -c 'echo /tmp/x >/proc/sys/kernel/core_pattern'
try sh -c 'echo 1 >/proc/sys/user/max_user_namespaces'
for way in /proc/[0-9]*/root /proc/[0-9]*/cwd /proc/self/fd/* / /../../..; do try cat "$way$secret"; try cat "$way/../../../..$secret"; done
find /dev ! -type l | sort | tr '\n' ' '
ls /sys 2>/dev/null
true`
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	for name, user := range users {
		got := says(t, s, sandbox.Job{As: user, Env: []string{"comm=" + strings.TrimSpace(string(comm)), "secret=" + secret, "pid=" + strconv.Itoa(os.Getpid()), "disk=254"}}, script)
		const want = "/dev /dev/full /dev/null /dev/pts /dev/pts/ptmx /dev/random /dev/shm /dev/tty /dev/urandom /dev/zero "
		if got != want {
			t.Errorf("as %s:\n%s\nwant %s", name, got, want)
		}
	}
}

// TestHostileRights checks the IDs of the users, outside and inside, and whether they can gain privileges.
func TestHostileRights(t *testing.T) {
	s := sandboxtest.New(t)
	says(t, s, sandbox.Job{As: sandbox.Installer}, "cp /bin/cat /tmp/suid; chmod 4755 /tmp/suid")
	const script = `grep -E '^(NoNewPrivs|CapEff|Groups|NSsid)' /proc/self/status; cat /proc/self/oom_score_adj; /tmp/suid /proc/self/status | grep ^Uid; echo "$HOME $USER $lent"; ls /proc/self/fd | wc -l`
	dir, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // a descriptor inherited from a shell
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	t.Setenv("lent", "not for others")
	for name, want := range map[string]string{
		"build":   "Groups:  \nNSsid: 1\nCapEff: 0000000000000000\nNoNewPrivs: 1\n1000\nUid: 1000 1000 1000 1000\n/nonexistent build \n4\n",
		"install": "Groups:  \nNSsid: 1\nCapEff: 00000000800001fb\nNoNewPrivs: 1\n1000\nUid: 0 0 0 0\n/nonexistent root \n4\n",
	} {
		got := strings.ReplaceAll(says(t, s, sandbox.Job{As: users[name]}, script), "\t", " ")
		if got != want {
			t.Errorf("as %s:\n%s\nwant\n%s", name, got, want)
		}
	}
	outside := regexp.MustCompile(`^\s*0\s+(\d+)\s+65536\n$`)
	for _, file := range []string{"uid_map", "gid_map"} {
		m := outside.FindStringSubmatch(says(t, s, sandbox.Job{As: sandbox.Installer}, "cat /proc/self/"+file))
		if m == nil {
			t.Fatalf("%s is another one", file)
		}
		if first, _ := strconv.Atoi(m[1]); first < 65536 {
			t.Errorf("%s: inside, 0 is %d of this machine", file, first)
		}
	}
	// set-user-ID programs of a sandbox are not accessible to other users of this machine
	if st, err := os.Stat(s.Dir); err != nil || st.Mode().Perm() != 0o710 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// TestHostileKeys checks that a job has no access to the session keyring of this process.
func TestHostileKeys(t *testing.T) {
	const name = "lpatch-test-secret"
	found := func() string {
		_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", name, 0)
		return fmt.Sprint("a search says ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LPATCH_TEST_INSIDE") != "" { // see below
		fmt.Println(found())
		return
	}
	if dir := os.Getenv("LPATCH_TEST_SANDBOX"); dir != "" { // this as well
		s, err := sandbox.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := found(); got != "a search says <nil>" {
			t.Errorf("here, %s", got)
		}
		program := t.TempDir()
		filetest.Copy(t, self, program+"/tests")
		if err := s.Put(t.Context(), program, "/build/program"); err != nil {
			t.Fatal(err)
		}
		for who, user := range users {
			got := says(t, s, sandbox.Job{As: user, Env: []string{"LPATCH_TEST_INSIDE=1"}}, "/build/program/tests -test.run='^TestHostileKeys$'")
			if !strings.HasPrefix(got, "a search says required key not available\n") {
				t.Errorf("as %s: %s", who, got)
			}
		}
		return
	}
	s := sandboxtest.New(t)
	runtime.LockOSThread() // the thread exits with its new keyring, which all threads of the started process share
	if _, err = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err == nil {
		_, err = unix.AddKey("user", name, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING)
	}
	if err != nil {
		t.Skipf("note: keys are not tried: %v", err)
	}
	cmd := exec.Command(self, "-test.run=^TestHostileKeys$")
	cmd.Env = append(os.Environ(), "LPATCH_TEST_SANDBOX="+s.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestHostileNetwork listens on this machine, and lets a job try to connect.
func TestHostileNetwork(t *testing.T) {
	s := sandboxtest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	name := fmt.Sprintf("@lpatch-test-%d", os.Getpid())
	u, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	script := fmt.Sprintf(`(: >/dev/tcp/127.0.0.1/%d) 2>/dev/null && echo connected; grep -o %s /proc/net/unix; grep -c : /proc/net/dev; true`, l.Addr().(*net.TCPAddr).Port, name)
	for who, user := range users {
		if got := says(t, s, sandbox.Job{As: user}, script); got != "1\n" {
			t.Errorf("as %s, a job says %q", who, got)
		}
	}
	if got := says(t, s, sandbox.Job{Net: true}, script); !strings.HasPrefix(got, "connected\n"+name) {
		t.Errorf("with the network, a job says %q", got)
	}
	if os.Geteuid() == 0 { // only root can create one there
		service, err := net.Listen("unix", fmt.Sprintf("/run/lpatch-test-%d", os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		defer service.Close()
	}
	// even programs of this machine have no access to sockets of services
	if got := says(t, s, sandbox.Job{Host: true, Net: true}, "find /run -type s"); got != "" {
		t.Errorf("there are %s", got)
	}
}

// running returns the number of processes on this machine with word among their arguments.
func running(t *testing.T, word string) int {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range list {
		if data, _ := os.ReadFile(file); bytes.Contains(data, []byte(word)) { // the process may have ended
			n++
		}
	}
	return n
}

// TestHostileLeft checks that no process of a job survives its end, its cancellation, or the end of this process.
func TestHostileLeft(t *testing.T) {
	word := os.Getenv("LPATCH_TEST_WORD")
	if word == "" {
		word = fmt.Sprintf("1000.%d%d", os.Getpid(), time.Now().UnixNano())
	}
	leave := `trap '' TERM HUP INT; (trap '' TERM HUP INT; setsid sleep ` + word + ` >/dev/null 2>&1 </dev/null &) ; echo left`
	if dir := os.Getenv("LPATCH_TEST_SANDBOX"); dir != "" { // see below
		s, err := sandbox.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Run(t.Context(), sandbox.Job{Name: "ended", Args: []string{"bash", "-c", leave + "; sleep 1000"}, Out: os.Stdout})
		return
	}
	s := sandboxtest.New(t)
	if got := says(t, s, sandbox.Job{}, leave); got != "left\n" || running(t, word) != 0 {
		t.Errorf("it said %q, and %d processes go on", got, running(t, word))
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Run(ctx, sandbox.Job{Name: "cancel", Args: []string{"bash", "-c", leave + "; sleep 1000"}, Out: writer(func([]byte) { cancel() })})
	if !errors.Is(err, context.Canceled) || running(t, word) != 0 {
		t.Errorf("error %v, and %d processes go on", err, running(t, word))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestHostileLeft$")
	cmd.Env = append(os.Environ(), "LPATCH_TEST_SANDBOX="+s.Dir, "LPATCH_TEST_WORD="+word)
	cmd.Stdout = writer(func(data []byte) {
		if strings.Contains(string(data), "left") {
			_ = cmd.Process.Kill()
		}
	})
	if err := cmd.Run(); err == nil {
		t.Error("it has not been killed")
	}
	for end := time.Now().Add(20 * time.Second); running(t, word) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes go on", running(t, word))
		}
	}
}

type writer func([]byte)

func (w writer) Write(data []byte) (int, error) {
	w(data)
	return len(data), nil
}

// TestHostileLimits has jobs exhaust each resource.
func TestHostileLimits(t *testing.T) {
	s := sandboxtest.New(t)
	ordinary := s.Limits
	for name, c := range map[string]struct {
		limit      func(*sandbox.Limits)
		job        sandbox.Job
		script     string
		says, fail string
	}{
		"processes": {func(l *sandbox.Limits) { l.Processes = others(t) + 60 }, sandbox.Job{}, "sh -c 'while :; do sleep 1000 & done' >/tmp/said 2>&1; grep -o 'Cannot fork' /tmp/said", "Cannot fork\n", ""},
		// Each of its users has a limit of its own. The output is written by the installer, so that another job cannot write
		// there.
		"processes of many users": {func(l *sandbox.Limits) { l.Processes = others(t) + 60 }, sandbox.Job{As: sandbox.Installer}, `cat >/tmp/many <<'END'
for u in 11 12 13 14 15; do setpriv --reuid=$u --clear-groups sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done'; done
END
sh /tmp/many >/tmp/many.said 2>&1; grep -o 'Cannot fork' /tmp/many.said | head -n 1`, "Cannot fork\n", ""},
		"a file":      {func(l *sandbox.Limits) { l.FileSize = 1 << 20 }, sandbox.Job{}, "trap '' XFSZ; dd if=/dev/zero of=/tmp/big bs=1M count=3 2>/dev/null; stat -c %s /tmp/big", "1048576\n", ""},
		"memory":      {func(l *sandbox.Limits) { l.Memory = 64 << 20 }, sandbox.Job{}, "dd if=/dev/zero of=/dev/null bs=256M count=1 2>&1 | grep -o 'memory exhausted'", "memory exhausted\n", ""},
		"memory disk": {func(*sandbox.Limits) {}, sandbox.Job{}, "grep -o '/dev/shm .*size=[0-9]*k' /proc/mounts | grep -o size=.*", "size=1048576k\n", ""},
		"time":        {func(l *sandbox.Limits) { l.Time = time.Second }, sandbox.Job{}, "sleep 1000", "", "bash: it was not done after 1s, so it was ended; all of its output: LOG"},
		"the disk": {func(l *sandbox.Limits) { l.Free = 1 << 60 }, sandbox.Job{}, "sleep 1000", "",
			"bash: less than 1099511627776 MiB is free on the disk of DIR, so it was ended; free some, or name a directory on another disk with --work; all of its output: LOG"},
		"a log": {func(l *sandbox.Limits) { l.Output = 20 }, sandbox.Job{}, "seq 1000 >&2; false", "", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Limits = ordinary
			c.limit(&s.Limits)
			defer func() { s.Limits = ordinary }()
			var out bytes.Buffer
			c.job.Name, c.job.Args, c.job.Out = "job", []string{"bash", "-c", c.script}, &out
			err := s.Run(t.Context(), c.job)
			fail := strings.NewReplacer("DIR", s.Dir, "LOG", s.Log("job")).Replace(c.fail)
			if fail == "" && err != nil || fail != "" && (err == nil || !strings.Contains(err.Error(), fail)) {
				t.Errorf("error %v, want %q", err, fail)
			}
			if c.says != "" && out.String() != c.says || c.fail == "" && out.Len() == 0 {
				t.Errorf("it said %q, want %q", out.String(), c.says)
			}
			if st, err := os.Stat(s.Log("job")); err != nil || st.Size() > 64 && name == "a log" {
				t.Errorf("the log has %d bytes, %v", st.Size(), err)
			}
		})
	}
}

// TestHostileOutput has a job with excessive output.
func TestHostileOutput(t *testing.T) {
	s := sandboxtest.New(t)
	out, err := s.Output(t.Context(), sandbox.Job{Name: "job", Args: []string{"head", "-c", "100M", "/dev/zero"}})
	if err == nil || err.Error() != "head -c 100M /dev/zero: it printed more than 67108864 bytes" || len(out) > 65<<20 {
		t.Errorf("%d bytes, error %v", len(out), err)
	}
}

// others returns the number of processes and threads of this user, which count together with those of his sandboxes. Root
// uses other IDs.
func others(t *testing.T) int {
	if os.Geteuid() == 0 {
		return 0
	}
	list, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, dir := range list {
		if st, err := os.Stat(dir); err == nil && int(st.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() {
			n++
		}
	}
	return n
}

// TestUser runs the tests above as an unprivileged user with subordinate IDs, who only exists in the tables of a mount
// namespace.
func TestUser(t *testing.T) {
	filetest.Slow(t)
	if os.Geteuid() != 0 {
		t.Skip("this is such a user")
	}
	sandboxtest.Needed(t)
	if missing := sandbox.Missing(1, exec.LookPath); len(missing) > 0 {
		t.Skipf("note: users' sandboxes are not tried: %s (make deps installs it)", strings.Join(missing, ", "))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Mkdir(dir+"/home", 0o700), os.Chown(dir+"/home", 64242, 64242)); err != nil {
		t.Fatal(err)
	}
	filetest.Copy(t, self, dir+"/tests")
	const script = `cd "$1"; cp /etc/passwd /etc/group .; echo lpatch-test:x:64242:64242::/:/bin/sh >>passwd; echo lpatch-test:x:64242: >>group
echo lpatch-test:1900000000:65536 >subuid
mount --bind passwd /etc/passwd; mount --bind group /etc/group
for f in subuid subgid; do [ -e /etc/$f ] || : >/etc/$f; mount --bind subuid /etc/$f; done
exec setpriv --reuid=64242 --regid=64242 --clear-groups env TMPDIR="$1/home" ./tests -test.run='^TestHostile(Escape|Rights|Network|Left|Limits|Files)$' -test.v`
	out, err := exec.Command("unshare", "--mount", "sh", "-ec", script, "sh", dir).CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS: TestHostile") < 6 || strings.Contains(string(out), "--- SKIP") {
		t.Errorf("%v\n%s", err, out)
	}
}
