// SPDX-License-Identifier: GPL-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
	"lpatch/test/vm"
)

// TestCleanMachine does what the quick start says on a machine that has nothing but git, make and apt: it installs lpatch for
// the kernel that the machine takes itself to run, and builds the patch, in one shell of a user who has sudo.
func TestCleanMachine(t *testing.T) {
	names, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(names, "6.1") {
		t.Skip("LPATCH_VM does not select kernel 6.1")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make the root of a system")
	}
	m := newClean(t)
	install := commands(t, "quick-start.md", "console install")
	list := slices.Concat(install, commands(t, "quick-start.md", "console build"))
	out := m.run(script(list))
	judge(t, "quick-start.md", list, out)
	for _, want := range []string{
		"installing: ca-certificates gcc golang-go kmod libc6-dev linux-headers-" + m.release + " patch\n", "fetching Go ",
		"built build/lpctl, build/kmod/" + m.release + "/lpatch.ko\n", "installed; for patches from the initramfs on: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("make && sudo make install does not say %q; it says\n%s", want, out)
		}
	}

	module := "/lib/modules/" + m.release + "/updates/lpatch.ko"
	const touched = "touch -d tomorrow ctl/lpctl/main.go; sudo make install 2>&1 | head -n 1; touch ctl/lpctl/main.go"
	for _, c := range [][2]string{
		{"/sbin/modinfo -F vermagic " + module + " | cut -d ' ' -f 1", m.release + "\n"},
		{"/sbin/modprobe -n -v -S " + m.release + " lpatch", "insmod " + module + " \n"},
		{"stat -c %U:%a " + module, "root:644\n"},
		{"stat -c %U:%a /usr/local/sbin/lpctl", "root:755\n"},
		{"find . ! -user me", ""},
		{"ls build/kmod", m.release + "\n"},
		{touched, "install: the build is older than the sources: run make first, as me, who owns them\n"},
		{"make", "built build/lpctl, build/kmod/" + m.release + "/lpatch.ko\n"},
	} {
		if got := m.run(c[0]); got != c[1] {
			t.Errorf("%s\nprints %q and not %q", c[0], got, c[1])
		}
	}
	m.noHeaders(t)
}

// noHeaders has the machine run a kernel of which nobody has headers: lpctl is built all the same.
func (m clean) noHeaders(t *testing.T) {
	t.Helper()
	filetest.Tree(t, m.dir, map[string]string{"etc/another": "9.9.9-own\n"})
	if err := os.Rename(m.dir+"/etc/another", m.dir+"/etc/kernel-release"); err != nil {
		t.Fatal(err)
	}
	const why = `there are no headers of kernel 9.9.9-own in /lib/modules/9.9.9-own/build, and apt offers no
linux-headers-9.9.9-own that can be installed here. Install them from where that kernel came from; or boot a
kernel of which apt offers both (apt-get install linux-image-amd64 linux-headers-amd64); or name another by KREL and KDIR.
A container has the kernel of its host: build there. Virtual machines (make demo, make test, scripts/vm-run) bring their
own kernels and need none of this.
`
	for _, c := range [][2]string{
		{"rm build/lpctl; make; echo $?; test -x build/lpctl && echo there", "built build/lpctl\nlpatch.ko is not built: " + why + "0\nthere\n"},
		{"make KREL=9.9.9-own 2>&1 | grep -v '^make: '", "build: lpatch.ko is not built: " + why},
		{"sudo rm /usr/local/sbin/lpctl; sudo make install 2>&1 | grep -v '^make: '; ls /usr/local/sbin", "install: nothing is installed (\"scripts/install tools\" installs all but lpatch.ko): " + why},
	} {
		if got := m.run(c[0]); got != c[1] {
			t.Errorf("%s\nprints\n%sand not\n%s", c[0], got, c[1])
		}
	}
}

// clean is such a machine: a root, and in it a copy of this repository, which its user has.
type clean struct {
	t            *testing.T
	dir, release string
}

func newClean(t *testing.T) clean {
	t.Helper()
	m := clean{t: t, dir: t.TempDir()}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euc", `"$0/test/docs/make-clean-root" "$1"
		mkdir "$1/home/me/lpatch"
		cd "$0"
		git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
			tar --null -T - -c | tar -x -C "$1/home/me/lpatch"
		chroot "$1" chown -R me:me /home/me`, top, m.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	release, err := os.ReadFile(m.dir + "/etc/kernel-release")
	if err != nil {
		t.Fatal(err)
	}
	m.release = strings.TrimSpace(string(release))
	return m
}

// run runs a script in the copy, as the user, and returns what it prints.
func (m clean) run(script string) string {
	m.t.Helper()
	const inside = `mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" su - me -c "$1"`
	// What this machine's environment says of the way to Go's modules holds there.
	env := "export SSL_CERT_FILE=/etc/this-machine.crt"
	for _, name := range []string{"GOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB", "http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			env += fmt.Sprintf(" %s=%q", name, value)
		}
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "bash", "-euc", inside, m.dir,
		"exec 2>&1\n"+env+"\ncd lpatch\n"+script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Logf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}
