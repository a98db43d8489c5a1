// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"

	"lpatch/test/vm/protocol"
)

// etc is the least that programs expect to find there.
var etc = map[string]string{
	"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
	"/etc/group":         "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
	"/etc/hosts":         "127.0.0.1 localhost lpatch\n::1 localhost\n",
	"/etc/hostname":      "lpatch\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"/etc/shells":        "/bin/sh\n",
}

// buildRoot puts the guest's root together. The user's files come first, so that they win over ours.
func buildRoot(cfg Config, k kernelFiles, job protocol.Job) (tree, error) {
	t := newTree()
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/lib", "/var/log", "/root", job.Dir} {
		t.addDir(dir)
	}
	for _, f := range cfg.Files {
		if err := addUserFile(t, f, job.Dir); err != nil {
			return nil, err
		}
	}
	if err := addSystem(t, k); err != nil {
		return nil, err
	}
	if job.Module {
		t.addModule(k)
	}
	for _, m := range k.modules {
		t.put(filepath.Join(protocol.ModulesDir, filepath.Base(m)), node{mode: cpio.TypeReg | 0o644, host: m})
	}
	t["/init"] = node{mode: cpio.TypeReg | 0o755, host: k.init}
	data, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	t.addData(protocol.JobPath, 0o644, data)
	return t, t.addLibraries()
}

// addModule puts the module where the guest's init takes it from, and where modprobe looks for it as on a system that has it
// installed.
func (t tree) addModule(k kernelFiles) {
	t.put(protocol.ModulePath, node{mode: cpio.TypeReg | 0o644, host: k.module})
	dir := filepath.Join("/lib/modules", k.release)
	t.addLink(filepath.Join(dir, "lpatch.ko"), protocol.ModulePath)
	t.addData(filepath.Join(dir, "modules.dep"), 0o644, []byte("lpatch.ko:\n"))
}

// addUserFile places one file that was asked for. One without a place of its own stands where it stands on the host,
// and the script runs in the directory that the user is in: relative and absolute names mean the same on both sides.
// So that `./prog` works for a prog from anywhere, there is a link to it in that directory as well.
func addUserFile(t tree, f File, dir string) error {
	host, err := filepath.Abs(f.Host)
	if err != nil {
		return err
	}
	if f.Guest != "" {
		guest := f.Guest
		if !filepath.IsAbs(guest) {
			guest = filepath.Join(dir, guest)
		}
		return t.addHost(host, filepath.Clean(guest))
	}
	for _, reserved := range []string{"/proc", "/sys", "/dev"} {
		if strings.HasPrefix(host, reserved+"/") {
			return fmt.Errorf("%s: %s is the guest's own; say where to put it with -f %s:PATH", host, reserved, f.Host)
		}
	}
	if err := t.addHost(host, host); err != nil {
		return err
	}
	if filepath.Dir(host) != dir {
		t.addLink(filepath.Join(dir, filepath.Base(host)), host)
	}
	return nil
}

// addSystem adds what every guest has: lpctl, a shell, busybox under all its names, and the files of etc.
func addSystem(t tree, k kernelFiles) error {
	if k.lpctl != "" {
		if err := t.addHost(k.lpctl, "/usr/local/bin/lpctl"); err != nil {
			return err
		}
	}
	// busybox's own shell prefers its applets to the programs in PATH, and a `sleep &` of it is called sh: so a shell
	// that does as it is told comes first, where there is one.
	if dash := "/bin/dash"; ifExists(dash) != "" {
		if err := t.addHost(dash, dash); err != nil {
			return err
		}
		t.addLink("/bin/sh", "dash")
	}
	if err := addBusybox(t); err != nil {
		return err
	}
	// With the host's table ld.so finds libraries outside the default directories; its paths are right in the guest.
	if cache := "/etc/ld.so.cache"; ifExists(cache) != "" {
		if err := t.addHost(cache, cache); err != nil {
			return err
		}
	}
	for path, text := range etc {
		t.addData(path, 0o644, []byte(text))
	}
	return nil
}

func addBusybox(t tree) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("the guest's shell is missing (run `make deps`): %w", err)
	}
	if err := t.addHost(path, "/bin/busybox"); err != nil {
		return err
	}
	applets, err := exec.Command(path, "--list-full").Output()
	if err != nil {
		return fmt.Errorf("%s --list-full: %w", path, err)
	}
	for _, name := range strings.Fields(string(applets)) {
		t.addLink("/"+name, "/bin/busybox")
	}
	return nil
}

// writeInitramfs writes the guest's root to a file.
func writeInitramfs(path string, t tree) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(t.write(out), out.Flush(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
