// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSystem is about a system that has come up with patches from the initramfs on. Its parts come one after another.
func TestSystem(t *testing.T) {
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"first process", firstProcess}, {"fail-safe", failSafe}, {"units", units}, {"servers", servers}, {"reload", reload}, {"worker killed", workerKilled},
		{"container", container}, {"upgrade", upgrade}, {"removed", removed},
		{"a patch in a package", patchPackage},
	} {
		if !t.Run(part.name, part.test) {
			t.Log(sh(t, "lpctl boot list 2>&1; lpctl status; journalctl -b -o cat --no-pager _TRANSPORT=kernel | grep -a lpatch"))
			return
		}
	}
}

// TestOff is about a system that came up with lpatch.boot=off: nothing of lpatch has run.
func TestOff(t *testing.T) {
	if _, err := os.Stat("/sys/module/lpatch"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the module is loaded (%v)", err)
	}
	if got := virtualization(t); got != "qemu" {
		t.Errorf("process 1 is patched: %s", got)
	}
	sh(t, "modprobe lpatch")
	if got := read(t, "/sys/module/lpatch/parameters/boot"); got != "N\n" {
		t.Errorf("the module's parameter boot is %q", got)
	}
	out, err := exec.Command("lpctl", "boot", "replay").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("lpctl boot replay: %v, %s", err, out)
	}
	wantJournal(t, "lpatch.boot=off is on the kernel's command line: nothing is patched as it starts")
}

// virtualization is what process 1 says of the machine, by a function of its library that is patched.
func virtualization(t *testing.T) string {
	t.Helper()
	return sh(t, "systemctl show --property Virtualization --value")
}

// firstProcess looks at process 1: it has both patches, of which nobody could have told it after its start. The one of libc
// has an effect in every program.
func firstProcess(t *testing.T) {
	if got := virtualization(t); got != "patched" {
		t.Errorf("process 1 says %q, want patched", got)
	}
	for _, name := range []string{"systemd", "libc"} {
		var s struct{ State string }
		out := sh(t, "lpctl status --pid 1 --json | grep '\"patch\":\""+name+"\"'")
		if err := json.Unmarshal([]byte(out), &s); err != nil || s.State != "applied" {
			t.Errorf("the patch %s of process 1: %v\n%s", name, err, out)
		}
	}
	if got := sh(t, "greeting"); !strings.HasSuffix(got, " patched") {
		t.Errorf("greeting says %q of libc, want patched", got)
	}
	if out := sh(t, "grep -ls lpctl /proc/[0-9]*/comm || true"); out != "" {
		t.Errorf("there is a process of ours: %s", out)
	}
}

// failSafe sees that the patch that made three boots fail is out, and named, and that this boot has proved the others.
func failSafe(t *testing.T) {
	const disabled = `deadly is disabled: it was active in 3 boots that did not reach "lpctl boot success"; add it again to try it again`
	wantJournal(t, "note: "+disabled)        // of the initramfs, by the kernel's log
	wantJournal(t, "lpctl: note: "+disabled) // of the unit
	boots := read(t, "/etc/lpctl/boots.yaml")
	if strings.Count(boots, "sha256") != 1 || !strings.Contains(boots, "deadly") {
		t.Errorf("the registry has\n%s", boots)
	}
	sh(t, "systemctl is-active lpatch-boot.service lpatch-boot-success.service")
}

// wantJournal looks for a line.
func wantJournal(t *testing.T, line string) {
	t.Helper()
	journal := sh(t, "journalctl --boot --output cat --no-pager --all")
	for have := range strings.Lines(journal) {
		if strings.TrimSpace(have) == line {
			return
		}
	}
	t.Errorf("the journal does not say %q, but of us\n%s", line, sh(t, "journalctl -b -o cat --no-pager -a | grep -a -e lpatch -e lpctl"))
}

// units has those that wait to be enabled do their work, each with no more access than its file allows.
func units(t *testing.T) {
	sh(t, "systemctl start lpatch-metrics.service lpatch-watch.service")
	metrics := read(t, "/run/lpatch-metrics/lpatch.prom")
	for _, want := range []string{"\nlpatch_up 1\n", "\nlpatch_processes{patch=\"libc\",state=\"applied\"} ", "\nlpatch_boot_starts_total{patch=\"libc\""} {
		if !strings.Contains(metrics, want) {
			t.Errorf("there is no %q in\n%s", want, metrics)
		}
	}
	sh(t, "systemctl restart memcached")
	sh(t, "timeout 60 sh -c 'until journalctl --boot --quiet --output cat LPATCH_PATCH=libc LPATCH_COMM=memcached | grep .; do sleep 0.2; done'")
	sh(t, "systemctl stop lpatch-watch.service")
}

// servers asks each server as it came up, and after a restart.
func servers(t *testing.T) {
	for name, q := range questions {
		q.want(t, q.patched)
		before := mainPID(t, name)
		sh(t, "systemctl restart "+name)
		if mainPID(t, name) == before {
			t.Errorf("%s has not been restarted", name)
		}
		q.want(t, q.patched)
	}
}

func mainPID(t *testing.T, unit string) string {
	t.Helper()
	return sh(t, "systemctl show --property MainPID --value "+unit)
}

// workers are the processes that haproxy's first process made.
func workers(t *testing.T) string {
	t.Helper()
	pid := mainPID(t, "haproxy")
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", pid, pid))
	if err != nil {
		return "" // it is gone, and the next one not here yet
	}
	return strings.TrimSpace(string(children))
}

// otherWorkers waits until haproxy has a worker and none of those.
func otherWorkers(t *testing.T, before string) {
	t.Helper()
	wait(t, "other worker of haproxy", func() error {
		now := workers(t)
		for pid := range strings.FieldsSeq(before) {
			if now == "" || strings.Contains(" "+now+" ", " "+pid+" ") {
				return fmt.Errorf("the workers were %s and are %q", before, now)
			}
		}
		return nil
	})
}

// reload has haproxy execute itself again, and make a new worker.
func reload(t *testing.T) {
	before := workers(t)
	pid := mainPID(t, "haproxy")
	sh(t, "systemctl reload haproxy || { journalctl -b --no-pager -u haproxy; exit 1; }")
	otherWorkers(t, before)
	questions["haproxy"].want(t, "patched")
	if mainPID(t, "haproxy") != pid {
		t.Errorf("haproxy is another process than before the reload")
	}
}

// workerKilled kills haproxy's worker. Its first process ends then, by its own choice, and systemd starts another.
func workerKilled(t *testing.T) {
	before := workers(t)
	sh(t, "kill -9 "+before)
	otherWorkers(t, before)
	questions["haproxy"].want(t, "patched")
}

// container starts a server in namespaces of its own, from a merged file system, of which its file is in the lower part.
func container(t *testing.T) {
	sh(t, "mkdir -p /run/box/upper /run/box/work /run/box/root")
	const script = `
		mount -t overlay overlay -o lowerdir=/,upperdir=/run/box/upper,workdir=/run/box/work /run/box/root
		mount -t proc proc /run/box/root/proc
		exec chroot /run/box/root redis-server --port 6380 --save ''`
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "sh", "-ec", script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	q := questions["redis-server"]
	q.address = "127.0.0.1:6380"
	q.want(t, q.patched)
}

// upgrade installs the same build of a program once more, and then another one.
func upgrade(t *testing.T) {
	if got := sh(t, "greeting"); got != "2 patched" {
		t.Errorf("greeting says %q, want 2 patched", got)
	}
	out := sh(t, "dpkg --install /packages/same.deb")
	if strings.Contains(out, "superseded") {
		t.Errorf("the same build is said to be superseded:\n%s", out)
	}
	if got := sh(t, "greeting"); got != "2 patched" {
		t.Errorf("installed again greeting says %q, want 2 patched\n%s", got, out)
	}
	out = sh(t, "dpkg --install /packages/other.deb")
	if !strings.Contains(out, "greeting is superseded: /usr/bin/greeting has build-id ") {
		t.Errorf("dpkg says\n%s", out)
	}
	if got := sh(t, "greeting"); got != "3 patched" { // of its own libc
		t.Errorf("the new version of greeting says %q, want 3 patched", got)
	}
}

// removed ends an entry; from then on the server starts as it is in its file.
func removed(t *testing.T) {
	q := questions["redis-server"]
	sh(t, "lpctl boot remove redis-server")
	q.want(t, q.patched)
	sh(t, "systemctl restart redis-server")
	q.want(t, q.stock)
}
