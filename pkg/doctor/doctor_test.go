// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/boot"
	"lpatch/pkg/testutil/filetest"
)

// made returns an artificial machine without problems, except that the module neither exists nor is loaded.
func made(t *testing.T) Machine {
	t.Helper()
	root := t.TempDir()
	m := Machine{Root: root, Proc: filepath.Join(root, "proc"), PID: 7, Release: testRelease, Arch: "x86_64",
		Registry: boot.Registry{Root: root, Owner: os.Getuid()}}
	filetest.Tree(t, root, map[string]string{
		"proc/1/status":                    "Name:\tinit\n",
		"proc/1/maps":                      "",
		"proc/7/status":                    "Name:\tlpctl\nCapEff:\t000001ffffffffff\n",
		"proc/7/maps":                      "1000-2000 r-xp 00000000 fe:01 5 /usr/sbin/lpctl\n",
		"proc/7/map_files/1000-2000":       "",
		"proc/cmdline":                     "quiet ro\n",
		"proc/sys/kernel/random/boot_id":   "boot 1\n",
		"proc/sys/kernel/modules_disabled": "0\n",
		"sys/module/x/y":                   "",
	})
	link(t, m, "proc/self", "7")
	link(t, m, "proc/1/exe", "/sbin/init")
	link(t, m, "proc/7/ns/pid", initialPIDs)
	link(t, m, "proc/7/ns/user", initialUsers)
	return m
}

func link(t *testing.T, m Machine, name, to string) {
	t.Helper()
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path)
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, m Machine, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, m Machine, name string) {
	t.Helper()
	if err := os.RemoveAll(m.path(name)); err != nil {
		t.Fatal(err)
	}
}

func wantCheck(t *testing.T, got Check, fine bool, message string) {
	t.Helper()
	if got.OK != fine || got.Message != message {
		t.Errorf("%s: got\n%v %s\nwant\n%v %s", got.Name, got.OK, got.Message, fine, message)
	}
}

// TestSystem introduces one problem on a machine, which must be reported with its remedy.
func TestSystem(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *Machine)
		check func(Machine) Check
		fine  bool
		want  string
	}{
		{"processes", nil, Machine.Processes, true, "all processes of this machine are visible"},
		{"another's", func(t *testing.T, m *Machine) { remove(t, *m, "proc/1/exe") }, Machine.Processes, false,
			"process 1 cannot be looked at: readlink ROOT/proc/1/exe: no such file or directory; a container or a security module " +
				"(AppArmor, SELinux, Yama) forbids it: run lpctl outside of that"},
		{"another's maps", func(t *testing.T, m *Machine) { remove(t, *m, "proc/1/maps") }, Machine.Processes, false,
			"process 1 cannot be looked at: open ROOT/proc/1/maps: no such file or directory; a container or a security module " +
				"(AppArmor, SELinux, Yama) forbids it: run lpctl outside of that"},
		{"another's, and no right", func(t *testing.T, m *Machine) {
			remove(t, *m, "proc/1/exe")
			write(t, *m, "proc/7/status", "CapEff:\t000001fffff7ffff\n")
		}, Machine.Processes, true, "all processes of this machine are visible"},
		{"kernel without pid namespaces", func(t *testing.T, m *Machine) { remove(t, *m, "proc/7/ns/pid") }, Machine.Processes, true,
			"all processes of this machine are visible"},
		{"kernel without user namespaces", func(t *testing.T, m *Machine) { remove(t, *m, "proc/7/ns/user") }, Machine.Capabilities, true,
			"CAP_SYS_ADMIN and CAP_SYS_PTRACE"},
		{"no proc", func(t *testing.T, m *Machine) { remove(t, *m, "proc") }, Machine.Processes, false,
			`there is no /proc, so no process is to be seen; "mount -t proc proc /proc" mounts it`},
		{"proc of another namespace", func(_ *testing.T, m *Machine) { m.PID = 8 }, Machine.Processes, false,
			"/proc shows the processes of another pid namespace than that of lpctl; run lpctl outside of the container"},
		{"proc of an outer namespace", func(t *testing.T, m *Machine) { remove(t, *m, "proc/self") }, Machine.Processes, false,
			"/proc shows the processes of another pid namespace than that of lpctl; run lpctl outside of the container"},
		{"pid namespace", func(t *testing.T, m *Machine) { link(t, *m, "proc/7/ns/pid", "pid:[4026532201]") }, Machine.Processes, false,
			"this is not the initial pid namespace, so processes outside of it are not to be seen; run lpctl outside of the container"},
		{"hidepid", func(t *testing.T, m *Machine) { remove(t, *m, "proc/1") }, Machine.Processes, false,
			`process 1 is hidden, so /proc hides processes (hidepid=): run lpctl as root, or "mount -o remount,hidepid=0 /proc"`},
		{"subset", func(t *testing.T, m *Machine) { remove(t, *m, "proc/sys") }, Machine.Processes, false,
			`/proc shows processes and nothing else (subset=pid); "mount -o remount,subset= /proc", or mount another`},
		{"capabilities", nil, Machine.Capabilities, true, "CAP_SYS_ADMIN and CAP_SYS_PTRACE"},
		{"no status", func(t *testing.T, m *Machine) { remove(t, *m, "proc") }, Machine.Capabilities, false,
			"they cannot be told without /proc"},
		{"malformed", func(t *testing.T, m *Machine) { write(t, *m, "proc/7/status", "CapEff:\tx\n") }, Machine.Capabilities, false,
			`cannot read CapEff of /proc/self/status: strconv.ParseUint: parsing "x": invalid syntax`},
		{"no CAP_SYS_ADMIN", func(t *testing.T, m *Machine) { write(t, *m, "proc/7/status", "CapEff:\t000001ffffdfffff\n") },
			Machine.Capabilities, false, "CAP_SYS_ADMIN is missing; run lpctl as root"},
		{"no CAP_SYS_PTRACE", func(t *testing.T, m *Machine) { write(t, *m, "proc/7/status", "CapEff:\t000001fffff7ffff\n") },
			Machine.Capabilities, false, "CAP_SYS_PTRACE is missing; run lpctl as root"},
		{"user namespace", func(t *testing.T, m *Machine) { link(t, *m, "proc/7/ns/user", "user:[4026532200]") }, Machine.Capabilities,
			false, "this is not the initial user namespace; run lpctl outside of the container"},
		{"map_files", nil, Machine.MapFiles, true, "/proc/PID/map_files can be used"},
		{"not permitted", func(t *testing.T, m *Machine) { link(t, *m, "proc/7/map_files/1000-2000", "1000-2000") }, Machine.MapFiles,
			false, "cannot open /usr/sbin/lpctl as process 7 maps it: open MAP: too many levels of symbolic links; " +
				"run lpctl as root, with /proc mounted"},
		{"no maps", func(t *testing.T, m *Machine) { remove(t, *m, "proc/7") }, Machine.MapFiles, false,
			"the files that processes map cannot be looked at: there is no process 7"},
		{"no program", func(t *testing.T, m *Machine) { write(t, *m, "proc/7/maps", "1000-2000 r-xp 00000000 00:00 0\n") },
			Machine.MapFiles, false, "process 7, which is lpctl, seems to map no program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := made(t)
			if c.spoil != nil {
				c.spoil(t, &m)
			}
			got := c.check(m)
			got.Message = strings.ReplaceAll(got.Message, m.Root+"/proc/1/", "ROOT/proc/1/")
			got.Message = strings.ReplaceAll(got.Message, m.Proc+"/7/map_files/1000-2000", "MAP")
			wantCheck(t, got, c.fine, c.want)
		})
	}
}

// TestConfigured checks that the requirements of the module are reported before it is loaded.
func TestConfigured(t *testing.T) {
	m := made(t)
	for text, want := range map[string]string{
		"": "", "options lpatch require_signature=0\n": "", "options other require_signature=1\n": "",
		"options lpatch boot=off require_signature=Y\n": `once lpatch is loaded, patches must be signed, as /etc/modprobe.d/x.conf has ` +
			`"options lpatch require_signature=Y"; "lpctl key add CERT" says by whom`,
	} {
		write(t, m, "etc/modprobe.d/x.conf", text)
		list := m.Configured()
		if want == "" && len(list) == 0 {
			continue
		}
		if len(list) != 1 {
			t.Fatalf("%q: %v", text, list)
		}
		wantCheck(t, list[0], true, want)
	}
}

func TestKernel(t *testing.T) {
	for _, c := range []struct {
		release, arch string
		fine          bool
		want          string
	}{
		{"6.1.0-56-amd64", "x86_64", true, "6.1.0-56-amd64 on x86-64"},
		{"7.0-rc1", "x86_64", true, "7.0-rc1 on x86-64"},
		{"6.0.19", "x86_64", false, "6.0.19 is older than 6.1; boot a newer kernel"},
		{"5.10.0-30-amd64", "x86_64", false, "5.10.0-30-amd64 is older than 6.1; boot a newer kernel"},
		{"odd", "x86_64", false, "odd is older than 6.1; boot a newer kernel"},
		{"6.1.0", "aarch64", false, "6.1.0 on aarch64; only x86-64 is supported"},
	} {
		wantCheck(t, Machine{Release: c.release, Arch: c.arch}.Kernel(), c.fine, c.want)
	}
}

// moduleFor returns an ELF file with a section .modinfo.
func moduleFor(info string) string {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	var out bytes.Buffer
	put := func(v any) { _ = binary.Write(&out, binary.LittleEndian, v) } // a Buffer never fails
	at := uint64(64 + len(info) + len(names))
	header := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: at, Ehsize: 64,
		Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	put(header)
	out.WriteString(info + names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Off: 64, Size: uint64(len(info)), Addralign: 1})
	put(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(info)), Size: uint64(len(names)), Addralign: 1})
	return out.String()
}

// TestAbsent checks all reasons for a missing module. Only on the last machine can modprobe load it.
func TestAbsent(t *testing.T) {
	const (
		directory = "lib/modules/" + testRelease + "/"
		unbuilt   = "lpatch is not built for this kernel: there is no lpatch.ko below /lib/modules/" + testRelease + "; "
		source    = `install the package lpatch-dkms, or run "make && sudo make install" in lpatch's source`
		dkms      = `"dkms autoinstall -k ` + testRelease + `" builds it, and "dkms status" tells what became of that`
	)
	index := map[string]string{directory + "modules.dep": "kernel/fs/lpatch.kox: x\nupdates/dkms/lpatch.ko: kernel/x.ko\n"}
	good := moduleFor("license=GPL\x00vermagic=" + testRelease + " SMP preempt mod_unload modversions \x00")
	for _, c := range []struct {
		name  string
		files []map[string]string
		want  string
	}{
		{"no headers", nil, unbuilt + "install the headers of this kernel; then " + source},
		{"Debian", []map[string]string{{"etc/debian_version": "12.9\n"}}, unbuilt + `"apt-get install linux-headers-` + testRelease +
			`" gets the headers that this takes; then ` + source},
		{"headers", []map[string]string{{directory + "build/Makefile": ""}}, unbuilt + source},
		{"DKMS", []map[string]string{{directory + "build/Makefile": "", "var/lib/dkms/lpatch/kernel": ""}}, unbuilt + dkms},
		{"another kernel's", []map[string]string{{"lib/modules/6.1.0-1-amd64/updates/dkms/lpatch.ko": good, directory + "build/Makefile": ""}},
			unbuilt + source},
		{"in the index only", []map[string]string{index, {directory + "build/Makefile": ""}}, unbuilt + source},
		{"not in the index", []map[string]string{{modulePath: good}}, "lpatch is not loaded, and modprobe does not know /" + modulePath +
			`; "depmod ` + testRelease + `" tells it, and "modprobe lpatch" loads it`},
		{"built for another", []map[string]string{index, {directory + "build/x": "",
			modulePath: moduleFor("vermagic=6.1.0-1-amd64 SMP \x00")}}, "lpatch is not loaded: /" + modulePath +
			" is built for 6.1.0-1-amd64 and not for " + testRelease + "; " + source},
		{"no ELF file", []map[string]string{index, {directory + "build/x": "", modulePath: "x"}}, "lpatch is not loaded: /" + modulePath +
			" is no kernel module; " + source},
		{"no vermagic", []map[string]string{index, {directory + "build/x": "", modulePath: moduleFor("license=GPL\x00")}},
			"lpatch is not loaded: /" + modulePath + " is no kernel module; " + source},
		{"no more modules", []map[string]string{{"proc/sys/kernel/modules_disabled": "1\n"}},
			"lpatch is not loaded, and no module can be before the next boot: kernel.modules_disabled is 1"},
		{"blacklist", []map[string]string{{"proc/cmdline": "ro module_blacklist=x,lpatch"}},
			"lpatch is not loaded, and cannot be before the next boot: module_blacklist= on the kernel's command line names it"},
		{"another network namespace", []map[string]string{{"sys/module/lpatch/parameters/boot": "Y\n"}},
			"lpatch is loaded, and not to be seen from this network namespace; run lpctl outside of the container"},
		{"ready", []map[string]string{index, {modulePath: good}}, `lpatch is not loaded; load it with "modprobe lpatch"`},
		{"ready, in the tree", []map[string]string{{directory + "modules.dep": "kernel/mm/lpatch/lpatch.ko.xz:\n",
			directory + "kernel/mm/lpatch/lpatch.ko.xz": "…"}}, `lpatch is not loaded; load it with "modprobe lpatch"`},
		{"replaced", []map[string]string{index, {modulePath: good}, {"usr/lib/modprobe.d/b.conf": "# x\ninstall lpatch \\\n /bin/false\n"}},
			`lpatch is not loaded, and "modprobe lpatch" does not load it: /usr/lib/modprobe.d/b.conf has "install lpatch /bin/false"; take that out`},
		{"overridden", []map[string]string{index, {modulePath: good}, {"usr/lib/modprobe.d/b.conf": "install lpatch /bin/false\n", "etc/modprobe.d/b.conf": "# none\n"}},
			`lpatch is not loaded; load it with "modprobe lpatch"`},
		{"blacklist of modprobe", []map[string]string{index, {modulePath: good}, {"etc/modprobe.d/b.conf": "blacklist lpatch\n"}},
			`lpatch is not loaded; load it with "modprobe lpatch"; nothing else loads it, as /etc/modprobe.d/b.conf has "blacklist lpatch"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := made(t)
			for _, files := range c.files {
				for name, text := range files {
					write(t, m, name, text)
				}
			}
			wantCheck(t, m.Absent(), false, c.want)
		})
	}
}

func TestSignatures(t *testing.T) {
	for _, c := range []struct {
		required      bool
		keyring       int
		usable, ended int
		err           error
		fine          bool
		want          string
	}{
		{false, 0, 0, 0, nil, true, "this kernel cannot verify signatures, and does not require any"},
		{false, 5, 0, 0, nil, true, "not required; the module's parameter require_signature=1 changes that"},
		{true, 0, 0, 0, nil, false,
			"patches must be signed, and this kernel cannot verify: it is built without CONFIG_SYSTEM_DATA_VERIFICATION"},
		{true, 5, 2, 1, nil, true, `patches must be signed by a key in the keyring .lpatch, which has 2, see "lpctl key"`},
		{true, 5, 0, 0, nil, false, "patches must be signed, and the keyring .lpatch has no key, so no patch can be applied; " +
			`"lpctl key add CERT" puts one in`},
		{true, 5, 0, 2, nil, false, "patches must be signed, and no key in the keyring .lpatch is valid any more, so no patch can be " +
			`applied; "lpctl key add CERT" puts another in`},
		{true, 5, 0, 0, errors.New("no"), false, "patches must be signed by a key in the keyring .lpatch, which cannot be read: no"},
	} {
		wantCheck(t, Signatures(c.required, c.keyring, func(int) (int, int, error) { return c.usable, c.ended, c.err }), c.fine, c.want)
	}
}

func TestLoaded(t *testing.T) {
	wantCheck(t, Loaded("1", "1"), true, "lpatch 1")
	wantCheck(t, Loaded("1", "2"), false, "lpatch 1, but lpctl is 2; after an upgrade the next boot brings the "+
		"new module, else install both from the same build")
}
