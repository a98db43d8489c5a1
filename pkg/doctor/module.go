// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lpatch/pkg/lpelf"
)

// moduleDirs are the subdirectories of /lib/modules/RELEASE in which depmod looks for modules that are not part of the
// kernel.
var moduleDirs = []string{"updates/dkms", "updates", "extra", "weak-updates"}

// moduleFile returns the path of the module for this kernel: from the index that depmod creates, as used by modprobe,
// otherwise from the directories that depmod searches. It is "" if there is none.
func (m Machine) moduleFile() (file string, indexed bool) {
	dir := path.Join("/lib/modules", m.Release)
	for line := range strings.Lines(read(m.path(path.Join(dir, "modules.dep")))) {
		name, _, _ := strings.Cut(line, ":")
		base, found := strings.CutPrefix(path.Base(name), "lpatch.ko")
		if found && (base == "" || base[0] == '.') && m.exists(path.Join(dir, name)) {
			return path.Join(dir, name), true
		}
	}
	for _, below := range moduleDirs {
		for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
			if name := path.Join(dir, below, "lpatch.ko"+suffix); m.exists(name) {
				return name, false
			}
		}
	}
	return "", false
}

// Absent explains why the kernel does not know lpatch, and what to do. It suggests loading the module only if its file
// exists.
func (m Machine) Absent() Check {
	const name = "module"
	if m.exists("sys/module/lpatch") {
		return bad(name, "lpatch is loaded, and not to be seen from this network namespace; run lpctl outside of the container")
	}
	if read(filepath.Join(m.Proc, "sys/kernel/modules_disabled")) == "1" {
		return bad(name, "lpatch is not loaded, and no module can be before the next boot: kernel.modules_disabled is 1")
	}
	if m.blacklisted() {
		return bad(name, "lpatch is not loaded, and cannot be before the next boot: "+
			"module_blacklist= on the kernel's command line names it")
	}
	file, indexed := m.moduleFile()
	switch {
	case file == "":
		return bad(name, "lpatch is not built for this kernel: there is no lpatch.ko below /lib/modules/%s; %s", m.Release, m.howToBuild())
	case !indexed:
		return bad(name, "lpatch is not loaded, and modprobe does not know %s; \"depmod %s\" tells it, and \"modprobe lpatch\" loads it",
			file, m.Release)
	}
	if other := m.madeFor(file); other != "" {
		return bad(name, "lpatch is not loaded: %s is %s; %s", file, other, m.howToBuild())
	}
	if line, conf := m.replaced(); line != "" {
		return bad(name, "lpatch is not loaded, and \"modprobe lpatch\" does not load it: %s has %q; take that out", conf, line)
	}
	return bad(name, "lpatch is not loaded; load it with \"modprobe lpatch\"%s", m.notByItself())
}

func (m Machine) blacklisted() bool {
	for word := range strings.FieldsSeq(read(filepath.Join(m.Proc, "cmdline"))) {
		if list, found := strings.CutPrefix(word, "module_blacklist="); found {
			for name := range strings.SplitSeq(list, ",") {
				if name == "lpatch" {
					return true
				}
			}
		}
	}
	return false
}

// howToBuild tells how to build the module for this kernel.
func (m Machine) howToBuild() string {
	how := "install the package lpatch-dkms, or run \"make && sudo make install\" in lpatch's source"
	if m.exists("var/lib/dkms/lpatch") {
		how = fmt.Sprintf("\"dkms autoinstall -k %s\" builds it, and \"dkms status\" tells what became of that", m.Release)
	}
	if m.exists(path.Join("/lib/modules", m.Release, "build")) {
		return how
	}
	headers := "install the headers of this kernel"
	if m.exists("etc/debian_version") {
		headers = fmt.Sprintf("\"apt-get install linux-headers-%s\" gets the headers that this takes", m.Release)
	}
	return headers + "; then " + how
}

// madeFor describes the problem of a module that was built for another kernel or is not a module; "" if there is none.
// Compressed modules are not examined, and those in weak-updates are for several kernels.
func (m Machine) madeFor(file string) string {
	if !strings.HasSuffix(file, ".ko") || strings.Contains(file, "/weak-updates/") {
		return ""
	}
	data, err := os.ReadFile(m.path(file))
	if err != nil {
		return fmt.Sprintf("not to be read (%v)", err)
	}
	f, err := lpelf.Parse(file, data)
	if err != nil {
		return "no kernel module"
	}
	info := f.Section(".modinfo")
	if info == nil {
		return "no kernel module"
	}
	for entry := range bytes.SplitSeq(info.Data, []byte{0}) {
		if magic, found := strings.CutPrefix(string(entry), "vermagic="); found {
			if release, _, _ := strings.Cut(magic, " "); release != m.Release {
				return fmt.Sprintf("built for %s and not for %s", release, m.Release)
			}
			return ""
		}
	}
	return "no kernel module"
}

// Loaded compares the versions of the loaded module and of this lpctl.
func Loaded(module, lpctl string) Check {
	if module != lpctl {
		return bad("module", "lpatch %s, but lpctl is %s; after an upgrade the next boot brings the new module, else install both from "+
			"the same build", module, lpctl)
	}
	return ok("module", "lpatch %s", module)
}

// Signatures reports whether patches can be signed so that the kernel accepts them. keyring is the serial number of the
// module's keyring, or 0; keys counts the usable keys in it, and those that have expired or were revoked.
func Signatures(required bool, keyring int, keys func(keyring int) (usable, ended int, err error)) Check {
	const name = "signatures"
	switch {
	case required && keyring == 0:
		return bad(name, "patches must be signed, and this kernel cannot verify: it is built without CONFIG_SYSTEM_DATA_VERIFICATION")
	case keyring == 0:
		return ok(name, "this kernel cannot verify signatures, and does not require any")
	case !required:
		return ok(name, "not required; the module's parameter require_signature=1 changes that")
	}
	usable, ended, err := keys(keyring)
	switch {
	case err != nil:
		return bad(name, "patches must be signed by a key in the keyring .lpatch, which cannot be read: %v", err)
	case usable > 0:
		return ok(name, "patches must be signed by a key in the keyring .lpatch, which has %d, see \"lpctl key\"", usable)
	case ended > 0:
		return bad(name, "patches must be signed, and no key in the keyring .lpatch is valid any more, so no patch can be applied; "+
			"\"lpctl key add CERT\" puts another in")
	}
	return bad(name, "patches must be signed, and the keyring .lpatch has no key, so no patch can be applied; "+
		"\"lpctl key add CERT\" puts one in")
}
