// SPDX-License-Identifier: GPL-2.0

package ansible

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/testutil/filetest"
	"lpatch/test/vm"
)

// kernel is that of the machines.
const kernel = "6.12"

// machineTimeout is for the life of a machine.
const machineTimeout = 30 * time.Minute

// source is that of the service, which tells everybody who comes to port 7 the answer.
var source = map[string]string{
	"answer.c": `const char *answer(void) { return "old\n"; }` + "\n",
	"oracle.c": `
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *answer(void);

int main(void)
{
	const struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(7) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (const struct sockaddr *)&here, sizeof(here)) || listen(listener, 8) || daemon(0, 0)) {
		perror("oracle");
		return 1;
	}
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		send(client, answer(), strlen(answer()), MSG_NOSIGNAL);
		close(client);
	}
	return 1;
}
`,
	"Makefile": "CFLAGS = -O2 -g\noracle: oracle.o answer.o\n",
}

const fix = `--- a/answer.c
+++ b/answer.c
@@ -1 +1 @@
-const char *answer(void) { return "old\n"; }
+const char *answer(void) { return "new\n"; }
`

// healthyScript is the health check: the answer must be one that the clients of this host know.
const healthyScript = `#!/bin/sh
answer=$(nc 127.0.0.1 7 </dev/null)
grep -qx "$answer" /etc/known || { echo "nobody knows the answer $answer" >&2; exit 1; }
`

// hostScript is what a machine does. In the end nothing of the patch must be left in its kernel.
const hostScript = `
printf '%s\n' "$@" >/etc/known
mkfifo /run/end && oracle && dropbear -s -r /etc/host_key && echo up && read -r _ </run/end && rmmod lpatch
`

// pythonScript lists the files of Python that Ansible's modules import.
const pythonScript = `
import base64, os, runpy, shutil, sys, tempfile, zipfile, encodings.cp437
import ansible.modules.command, ansible.modules.copy, ansible.modules.file, ansible.modules.stat
for m in list(sys.modules.values()):
    for f in getattr(m, "__file__", None), getattr(m, "__cached__", None):
        if f and f.startswith(os.path.dirname(os.__file__) + "/") and os.path.exists(f):
            print(f)
`

// machines are the hosts of a group, each with a kernel and a service of its own.
type machines struct {
	group
	list  []*machine // as hosts
	build []string   // the command that builds the patch
}

// machine is one of them.
type machine struct {
	port            int // of 127.0.0.1, for SSH
	up, ended       chan struct{}
	err             error // how it ended
	said, complaint strings.Builder
}

// TestMachines goes through a roll-out with what it is made of: each part begins with what the one before has left.
func TestMachines(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kernels, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	m := startMachines(t)
	for _, c := range []struct {
		name string
		test func(*machines, *testing.T)
	}{
		{"check", (*machines).check}, {"ill", (*machines).ill}, {"cured", (*machines).cured}, {"back", (*machines).back},
		{"end", (*machines).end},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.test(m, t) }) {
			return
		}
	}
}

// startMachines returns when all can be reached. Whatever happens they end with the test.
func startMachines(t *testing.T) *machines {
	t.Helper()
	cfg := vm.Config{Kernel: kernel, CPUs: 1, MemMiB: 512, Timeout: machineTimeout, Dir: "/root"}
	if err := vm.Prepare(cfg, t.Output()); err != nil {
		t.Fatal(err)
	}
	m := &machines{group: group{dir: t.TempDir()}}
	m.hosts(t, "keys")
	m.makeService(t)
	cfg.Files, cfg.Script = m.files(t), filepath.Join(m.dir, "host")
	ports, err := vm.FreePorts(len(hosts))
	if err != nil {
		t.Fatal(err)
	}
	// With options that apply has and revert has not; and a window may be long where the processor is emulated.
	inventory := "[all:vars]\nlpatch_options=['--replace', '--max-stop=2s']\n[all]\n"
	for i, host := range hosts {
		cfg.Ports, cfg.Args = map[int]int{ports[i]: 22}, []string{"old", "new"}
		if host == "h2" {
			cfg.Args = []string{"old"}
		}
		m.list = append(m.list, startMachine(t, host, ports[i], cfg))
		inventory += fmt.Sprintf("%s ansible_host=127.0.0.1 ansible_port=%d\n", host, ports[i])
	}
	filetest.Tree(t, m.dir, map[string]string{"inventory": inventory})
	for i, one := range m.list {
		select {
		case <-one.up:
		case <-one.ended:
			t.Fatalf("%s does not come up", hosts[i])
		}
	}
	return m
}

// startMachine boots one, and has the test fail if it does not end well.
func startMachine(t *testing.T, host string, port int, cfg vm.Config) *machine {
	m := &machine{port: port, up: make(chan struct{}), ended: make(chan struct{})}
	cfg.Stdout, cfg.Stderr = m, &m.complaint
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(m.ended)
		var result vm.Result
		if result, m.err = vm.Run(ctx, cfg); m.err == nil && result.Status != 0 {
			m.err = fmt.Errorf("its script ends with status %d", result.Status)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-m.ended
		var failure *vm.Failure
		if errors.As(m.err, &failure) {
			t.Errorf("%s: %v\n%s\n%s", host, m.err, failure.Output, failure.Log)
		} else if m.err != nil && !errors.Is(m.err, context.Canceled) {
			t.Errorf("%s: %v\n%s", host, m.err, &m.complaint)
		}
	})
	return m
}

// Write takes what the machine's script says.
func (m *machine) Write(p []byte) (int, error) {
	m.said.Write(p)
	if m.said.String() == "up\n" {
		close(m.up)
	}
	return len(p), nil
}

// makeService builds the service, and makes all that the patch is to be built of.
func (m *machines) makeService(t *testing.T) {
	t.Helper()
	dir := filepath.Join(m.dir, "source")
	filetest.Tree(t, dir, source)
	filetest.Tree(t, m.dir, map[string]string{"fix.patch": fix, "host": hostScript, "healthy": healthyScript})
	if err := os.Chmod(filepath.Join(m.dir, "healthy"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "make", "-C", dir)
	lpctl, err := filepath.Abs("../../build/lpctl")
	if err != nil {
		t.Fatal(err)
	}
	m.build = []string{
		lpctl, "build", "source", dir, "--target", filepath.Join(dir, "oracle"), "--patch", filepath.Join(m.dir, "fix.patch"),
		"-o", filepath.Join(m.dir, "fix.lp"), "--", "make",
	}
}

// files are what a machine has besides what all have: lpctl, and the usual tools.
func (m *machines) files(t *testing.T) []vm.File {
	t.Helper()
	files := []vm.File{
		{Host: filepath.Join(m.dir, "source/oracle"), Guest: "/usr/bin/oracle"},
		{Host: filepath.Join(m.dir, "healthy"), Guest: "/usr/bin/healthy"},
		{Host: filepath.Join(m.dir, "host_key"), Guest: "/etc/host_key"},
		{Host: filepath.Join(m.dir, "key.pub"), Guest: "/root/.ssh/authorized_keys"},
	}
	programs := []string{"/usr/sbin/dropbear", "/usr/bin/python3"}
	for _, path := range append(programs, strings.Fields(run(t, "/usr/bin/python3", "-c", pythonScript))...) {
		files = append(files, vm.File{Host: path, Guest: path})
	}
	return files
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &complaint)
	}
	return string(out)
}

// on runs a command on a host, and returns what it prints.
func (m *machines) on(t *testing.T, host, command string) string {
	t.Helper()
	port := m.list[slices.Index(hosts, host)].port
	return run(t, "ssh", slices.Concat(m.ssh(), []string{"-p", fmt.Sprint(port), "root@127.0.0.1", command})...)
}

// want looks at what each host answers, and what lpctl says of it there.
func (m *machines) want(t *testing.T, out string, answers ...string) {
	t.Helper()
	states := map[string]*regexp.Regexp{
		"old": regexp.MustCompile(`^old\n$`),
		"new": regexp.MustCompile(`^new\n{"patch":"fix",.*"state":"applied".*}\n{"patch":"fix","registered":true,"kept":true,.*}\n$`),
	}
	for i, host := range hosts {
		got := m.on(t, host, "nc 127.0.0.1 7 </dev/null && lpctl status --json && lpctl boot list --json")
		if !states[answers[i]].MatchString(got) {
			t.Errorf("%s answers, and lpctl says there\n%swant the answer %s\n%s", host, got, answers[i], out)
		}
	}
}

// check changes nothing, and says what would.
func (m *machines) check(t *testing.T) {
	run(t, m.build[0], m.build[1:]...)
	out, ok := m.play(t, "roll-out.yml", "--check")
	if !ok {
		t.Fatal(out)
	}
	m.want(t, out, "old", "old", "old")
	wantChanges(t, out, hosts...)
	if err := os.Remove(filepath.Join(m.dir, "fix.lp")); err != nil {
		t.Fatal(err)
	}
}

// ill rolls the patch out, which is built again; the clients of the second host do not know the new answer.
func (m *machines) ill(t *testing.T) {
	build, err := json.Marshal(map[string]string{"lpatch_build": strings.Join(m.build, " ")})
	if err != nil {
		t.Fatal(err)
	}
	out, ok := m.play(t, "roll-out.yml", "-e", string(build))
	if ok || !strings.Contains(out, "h2 is not well with fix (nobody knows the answer new): it was taken out again") {
		t.Errorf("ansible-playbook says %v and\n%s", ok, out)
	}
	m.want(t, out, "new", "old", "old")
	if changed, _ := recap(out, "h3"); changed != "none" {
		t.Errorf("h3 was not left alone\n%s", out)
	}
}

// restart starts the service anew.
const restart = "pid=$(pidof oracle) && kill $pid && while [ -d /proc/$pid ]; do :; done && oracle"

// cured lets them know it and rolls the patch out again, to those that do not have it. It stays so when the service is started
// anew, and there is nothing left to be done then.
func (m *machines) cured(t *testing.T) {
	m.on(t, "h2", "echo new >>/etc/known")
	for _, changed := range [][]string{{"h2", "h3"}, nil} {
		out, ok := m.play(t, "roll-out.yml")
		if !ok {
			t.Fatal(out)
		}
		m.want(t, out, "new", "new", "new")
		wantChanges(t, out, changed...)
		m.on(t, "h3", restart)
	}
}

// back takes it out everywhere, and again, which finds nothing to do, and has to be told that this is well.
func (m *machines) back(t *testing.T) {
	if out, ok := m.play(t, "roll-out.yml", "-e", "lpatch_targets='--unit no-such-unit'"); ok ||
		!strings.Contains(out, "lpctl: no process belongs to the unit no-such-unit") {
		t.Errorf("with a unit that is not there ansible-playbook says %v and\n%s", ok, out)
	}
	for i, changed := range [][]string{hosts, nil} {
		out, ok := m.play(t, "roll-back.yml", "-e", fmt.Sprintf("lpatch_allow_none=%v", i > 0))
		if !ok {
			t.Fatal(out)
		}
		m.want(t, out, "old", "old", "old")
		wantChanges(t, out, changed...)
	}
}

// end lets each machine find out whether its kernel is as it was before, and end.
func (m *machines) end(t *testing.T) {
	for i, one := range m.list {
		m.on(t, hosts[i], "echo over >/run/end")
		<-one.ended
	}
}
