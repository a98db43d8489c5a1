// SPDX-License-Identifier: GPL-2.0

// Package ansible tests the roll-out of scripts/ansible on three hosts, twice. TestMachines has virtual machines with lpatch in their
// kernels, lpctl, and a service that is patched. TestAnsible has network namespaces with programs in this directory in place of lpctl,
// which keep what they are told to: that is quick, so more goes wrong there.
package ansible

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/testutil/filetest"
)

// group are the hosts, made anew for each part as far as their state goes.
type group struct{ dir string }

var hosts = []string{"h1", "h2", "h3"}

// playTimeout is for one playbook; machines may be emulated, and slow.
const playTimeout = 10 * time.Minute

// inside is in the environment of the process that has namespaces of its own.
const inside = "LPATCH_TEST_ANSIBLE_INSIDE"

// TestAnsible runs itself in namespaces of its own. So the hosts get nothing in the way of other tests, or of another run's hosts,
// and end with the test, even if it is killed.
func TestAnsible(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	if os.Getenv(inside) != "" {
		rollOuts(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the process is killed when the thread ends that started it
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-ec", `ip link set lo up; mount -t tmpfs none /run/netns; exec "$0" -test.run='^TestAnsible$' -test.v`, self)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "\nPASS\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// rollOuts makes the hosts, and goes through what may happen to them.
func rollOuts(t *testing.T) {
	g := group{dir: t.TempDir()}
	g.hosts(t, "up", "3")
	for _, c := range []struct {
		name string
		test func(*testing.T, group)
	}{
		{"check", checkOnly}, {"twice", twice}, {"warnings", warnings}, {"too many", tooMany},
		// The first host falls ill: it gets its old code back, and no other host is touched.
		{"canary", bad{"h1", "ill", false, "h1 is not well with fix (the service does not answer): it was taken out again",
			[]string{"reverted", "untouched", "untouched"}}.test},
		// Nobody on a host is what was named, which may be misspelt: it fails, and gets nothing.
		{"nobody", bad{"h1", "nobody", false, "no process maps prog, which the patch changes",
			[]string{"untouched", "untouched", "untouched"}}.test},
		{"allowed", allowed}, {"misspelt", misspelt},
		// A host of the second batch falls ill: the third is not touched, the first stays.
		{"second batch", bad{"h2", "ill", false, "h2 is not well with fix", []string{"patched", "reverted", "untouched"}}.test},
		// The patch does not fit one host: that is found out before anything is done to it.
		{"refused", bad{"h2", "refuse", true, "lpctl: refused: it does not fit", []string{"untouched", "untouched", "untouched"}}.test},
		// The module of a host is not loaded.
		{"unable", bad{"h1", "unable", false, "lpatch is not loaded", []string{"untouched", "untouched", "untouched"}}.test},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.reset(t)
			c.test(t, g)
		})
	}
}

func (g group) hosts(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("./hosts", append([]string{args[0], g.dir}, args[1:]...)...).CombinedOutput(); err != nil {
		t.Fatalf("hosts %v: %v (scripts/deps installs what it needs)\n%s", args, err, out)
	}
}

// reset makes the hosts what they were before they were patched, and the patch what has not been built.
func (g group) reset(t *testing.T) {
	t.Helper()
	for _, host := range hosts {
		if err := os.RemoveAll(filepath.Join(g.dir, host)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(g.dir, host), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(g.dir, "fix.lp")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// ssh are the options that ssh reaches a host with.
func (g group) ssh() []string {
	return []string{
		"-i", filepath.Join(g.dir, "key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ControlMaster=auto", "-o", "ControlPersist=5m", "-o", "ControlPath=" + g.dir + "/%h-%p",
	}
}

// play runs a playbook, and returns what it prints and whether it went well.
func (g group) play(t *testing.T, book string, more ...string) (string, bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), playTimeout)
	defer stop()
	args := append([]string{
		"-i", filepath.Join(g.dir, "inventory"), "-e", "lpatch_file=" + filepath.Join(g.dir, "fix.lp"),
		"-e", "lpatch_health=healthy lpatch_health_tries=2 lpatch_health_pause=0", "../../scripts/ansible/" + book,
	}, more...)
	cmd := exec.CommandContext(ctx, "ansible-playbook", args...)
	cmd.Env = append(os.Environ(), "ANSIBLE_REMOTE_USER=root", "ANSIBLE_SSH_ARGS="+strings.Join(g.ssh(), " "), "ANSIBLE_TIMEOUT=120",
		"ANSIBLE_SSH_TRANSFER_METHOD=piped", "ANSIBLE_NOCOLOR=1", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "ANSIBLE_PIPELINING=True", "ANSIBLE_HOME="+g.dir+"/ansible",
		"LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("ansible-playbook: %v (scripts/deps installs it)", err)
	}
	return string(out), err == nil
}

// build is how the patch comes to be; it writes down each time.
func (g group) build() []string {
	return []string{"-e", `{"lpatch_build": "sh -c 'echo built >> ` + g.dir + `/built; echo patch > ` + g.dir + `/fix.lp'"}`}
}

// file returns what is in a file of a host, or of all; nothing if there is none.
func (g group) file(path string) string {
	text, _ := os.ReadFile(filepath.Join(g.dir, path))
	return strings.TrimSpace(string(text))
}

// recap is what Ansible says in the end of a host: how many tasks changed it, and how many failed.
func recap(out, host string) (changed, failed string) {
	m := regexp.MustCompile(`(?m)^` + host + ` .*changed=(\d+) .*failed=(\d+)`).FindStringSubmatch(out)
	if m == nil {
		return "none", "none"
	}
	return m[1], m[2]
}

// wantChanges looks whether these hosts have been changed, or would have, and the others not, and that nothing failed.
func wantChanges(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, host := range hosts {
		if changed, failed := recap(out, host); (changed != "0") != slices.Contains(want, host) || failed != "0" {
			t.Errorf("%s tasks changed %s, and %s failed; want changes of %v\n%s", changed, host, failed, want, out)
		}
	}
}

// warnings has a host of each kind that is patched with a warning, which is said each time, while the host is changed once: threads that
// stay in old code, and the attacks by a user who starts processes that keep a function busy, or that lpctl cannot look at. The last
// host is one, too, on which the kernel applies the patch to what starts until the next boot, and no entry keeps it.
func warnings(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{
		"h1/busy": "1\n2\n3\n", "h2/active": "", "h3/unseen": "1\n2\n", "h3/kept": "fix", "h3/unkept": "",
	})
	for _, changed := range [][]string{hosts, nil} {
		out, ok := g.play(t, "roll-out.yml", g.build()...)
		for _, warning := range []string{
			"WARNING: processes of h1 could not be patched: x[2] (thread-active) x[3] (thread-active) x[4] (thread-active)",
			"WARNING: the patch is not in effect everywhere, threads of h2 are still in old code: x[1] (1)",
			"WARNING: processes of h3 could not be patched: ({{ 6 * 7 }}[2]: /fuse/prog is not opened) ({{ 6 * 7 }}[3]: /fuse/prog is not opened)",
		} {
			if !ok || !strings.Contains(out, warning) {
				t.Fatalf("ansible-playbook says %v, and there is no %q in\n%s", ok, warning, out)
			}
		}
		g.want(t, out, "patched", "patched", "patched")
		wantChanges(t, out, changed...)
	}
	if log := g.file("h3/log"); strings.Count(log, "boot add ") != 1 {
		t.Errorf("h3 was asked\n%s", log)
	}
}

// only has a playbook take one host, which is quicker.
func only(host string) []string { return []string{"--limit", "localhost," + host} }

// tooMany has more of those that are left than somebody lets there be: of four processes one is patched.
func tooMany(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{"h1/busy": "1\n2\n", "h1/unseen": "1\n"})
	out, ok := g.play(t, "roll-out.yml", append(append(g.build(), only("h1")...), "-e", "lpatch_max_left=74")...)
	if ok || !strings.Contains(out, "x[3]: thread 3 is in busy") {
		t.Errorf("ansible-playbook says %v and\n%s", ok, out)
	}
	g.want(t, out, "untouched", "untouched", "untouched")
}

// want looks at what became of each host: "patched", "reverted", "untouched".
func (g group) want(t *testing.T, out string, states ...string) {
	t.Helper()
	for i, host := range hosts {
		state := "untouched"
		if log := g.file(host + "/log"); log != "" {
			state = "reverted"
			if g.file(host+"/applied") == "fix" && g.file(host+"/kept") == "fix" {
				state = "patched"
			} else if g.file(host+"/applied")+g.file(host+"/kept") != "" {
				state = "half patched"
			}
		}
		if state != states[i] {
			t.Errorf("%s is %s, want %s; it was asked\n%s\n%s", host, state, states[i], g.file(host+"/log"), out)
		}
	}
}

// checkOnly changes nothing, and says what would.
func checkOnly(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{"fix.lp": "patch"})
	out, ok := g.play(t, "roll-out.yml", "--check")
	if !ok {
		t.Fatal(out)
	}
	g.want(t, out, "untouched", "untouched", "untouched")
	wantChanges(t, out, hosts...)
}

// twice rolls a patch out, which is built once, and again, which does nothing; and back, twice too.
func twice(t *testing.T, g group) {
	for i, book := range []string{"roll-out.yml", "roll-out.yml", "roll-back.yml", "roll-back.yml"} {
		more := g.build()
		if i == 3 { // no host has it by now
			more = append(more, "-e", "lpatch_allow_none=true")
		}
		out, ok := g.play(t, book, more...)
		if !ok {
			t.Fatal(out)
		}
		want := "patched"
		if book == "roll-back.yml" {
			want = "reverted"
		}
		g.want(t, out, want, want, want)
		wantChanges(t, out, [][]string{hosts, nil}[i%2]...)
	}
	if got := g.file("built"); got != "built" {
		t.Errorf("the patch was built %q", got)
	}
}

// allowed rolls a patch out to hosts of which one does not run the program, and back.
func allowed(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{"h2/nobody": ""})
	out, ok := g.play(t, "roll-out.yml", append(g.build(), "-e", "lpatch_allow_none=true")...)
	if got := g.file("h2/kept"); !ok || got != "fix" { // for when it does
		t.Errorf("h2 keeps %q\n%s", got, out)
	}
	g.want(t, out, "patched", "half patched", "patched")
	if out, ok = g.play(t, "roll-back.yml"); !ok {
		t.Error(out)
	}
	g.want(t, out, "reverted", "reverted", "reverted")
}

// misspelt rolls back what no host has, which fails; and what only one of them has.
func misspelt(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{"h2/applied": "fix", "h2/kept": "fix"})
	out, ok := g.play(t, "roll-back.yml", "-e", "lpatch_name=fxi")
	if ok || !strings.Contains(out, "no host has a patch fxi; is that its name?") || g.file("h2/kept") != "fix" {
		t.Errorf("ansible-playbook says %v and\n%s", ok, out)
	}
	if out, ok = g.play(t, "roll-back.yml"); !ok {
		t.Error(out)
	}
	wantChanges(t, out, "h2")
}

// bad is a roll-out that goes wrong, because of what a host has in a file, and ends with a sentence.
type bad struct {
	host, file string
	check      bool // with --check, of a patch that has been built
	says       string
	states     []string
}

func (b bad) test(t *testing.T, g group) {
	filetest.Tree(t, g.dir, map[string]string{b.host + "/" + b.file: ""})
	more := g.build()
	if b.check {
		filetest.Tree(t, g.dir, map[string]string{"fix.lp": "patch"})
		more = []string{"--check"}
	}
	out, ok := g.play(t, "roll-out.yml", more...)
	if ok || !strings.Contains(out, b.says) {
		t.Errorf("ansible-playbook says %v and\n%s", ok, out)
	}
	g.want(t, out, b.states...)
}
