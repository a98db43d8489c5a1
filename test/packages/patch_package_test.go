// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/packaging"
	"lpatch/pkg/patch"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/filetest"
)

// newPatchRoot is such a system with the script that packages of patches call. What lpctl does there is to be told.
func newPatchRoot(t *testing.T) *rpmRoot {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can install packages")
	}
	r := newRPMRoot(t)
	for _, name := range []string{"lpatch-package", "lpatch-runs", "lpatch-upgraded"} {
		run(t, "install", "-D", "../../scripts/packaging/"+name, filepath.Join(r.dir, "usr/lib/lpctl", name))
	}
	return r
}

// What lpctl may answer, and what it is called with.
const (
	lpFile         = "/usr/lib/lpatch/fix.lp"
	saysAdded      = "fix is applied to what starts from now on"
	saysOther      = "lpctl: refused: /usr/bin/greet has build-id 12, the patch is for build-id 34; rebuild the patch for this version"
	saysNoFile     = "lpctl: greet (build-id 34), which the patch is for, is in none of the usual directories; say where it is with --image PATH"
	saysActive     = "lpctl: refused: greet[7]: thread 7 is in greet"
	callsBoth      = "boot add " + lpFile + "\napply " + lpFile + " --all\n"
	callsAgain     = "boot list --json\nboot add " + lpFile + " --quiet\napply " + lpFile + " --all\n"
	saysSuperseded = `lpctl: the boot entry new takes the place of patch fix; to have that one again, take the entry out with "lpctl boot remove new"`
	callsScan      = callsAgain + "scan " + lpFile + " --json\n"
	saysNeedless   = "fix: nothing that runs needs this patch, and no file where it would be looked for: its package can be removed\n"
	saysDisabled   = `{"patch":"fix","registered":false,"kept":true,"disabled":true,"on_failure":"run"}`
)

// patchScript is what the script meets.
var patchScript = []struct {
	name    string
	verb    string // and options
	missing string // from the system
	lpctl   string // what it does: a part of a shell's case
	said    string
	called  string // lpctl
}{
	{"done", "add", "", "boot*) echo " + saysAdded + " ;;", saysAdded + "\n", callsBoth},
	{"elsewhere", "add --image /opt/greet", "", "", "", "boot add " + lpFile + " --image /opt/greet\napply " + lpFile + " --all\n"},
	{"had it", "add", "", "apply*) echo nothing to do; exit 3 ;;", "", callsBoth},
	{"none runs", "add", "", "apply*) echo no process; exit 5 ;;", "", callsBoth},
	{"calls under way", "add", "", "apply*) echo applied fix, 1 call in old code; exit 6 ;;", "applied fix, 1 call in old code\n", callsBoth},
	{"other version", "add", "", "boot*) echo '" + saysOther + "'; exit 2 ;;",
		"fix: this system does not have the file that the patch is for; nothing is done about what starts\n", callsBoth},
	{"no program", "add", "", "boot*) echo '" + saysNoFile + "'; exit 1 ;;",
		"fix: this system does not have the file that the patch is for; nothing is done about what starts\n", callsBoth},
	{"refused", "add", "", "apply*) echo '" + saysActive + "'; exit 2 ;;",
		saysActive + "\nfix: this was not done; to try again: lpctl apply " + lpFile + " --all\n", callsBoth},
	{"refused by some", "add", "", "apply*) echo '" + saysActive + "'; exit 4 ;;",
		saysActive + "\nfix: not all of this was done; to try again: lpctl apply " + lpFile + " --all\n", callsBoth},
	{"not kept", "add", "", "boot*) echo lpctl: no space left; exit 1 ;;",
		"lpctl: no space left\nfix: this was not done; to try again: lpctl boot add " + lpFile + "\n", callsBoth},
	{"odd name", "add --image /opt/a&b's", "", "boot*) echo lpctl: no space left; exit 1 ;;",
		"lpctl: no space left\nfix: this was not done; to try again: lpctl boot add " + lpFile + ` --image '/opt/a&b'\''s'` + "\n",
		"boot add " + lpFile + " --image /opt/a&b's\napply " + lpFile + " --all\n"},
	{"no module", "add", "sys/module/lpatch", "", "fix: nothing is patched: this kernel has no module lpatch (package lpatch-dkms, and the kernel's headers)\n", ""},
	{"in a chroot", "add", "proc/1", "", "fix: nothing is patched, as this system does not run; when it does: lpctl boot add " + lpFile + "\n", ""},
	{"again", "again", "", "", "", callsAgain},
	{"again without knowing who runs", "again", "", otherAgain(1, ""), "", callsScan},
	{"again with some unseen", "again", "", otherAgain(4, scanSummary(1)), "", callsScan},
	{"again patched", "again", "", otherAgain(0, scanLine("fix", "patched")+scanSummary(0)), "", callsScan},
	{"again patchable", "again", "", otherAgain(4, scanLine("fix", "patchable")+scanSummary(0)), "", callsScan},
	{"again other version", "again", "", otherAgain(4, scanLine("fix", "unknown-build")+scanLine("other", "patchable")+scanSummary(0)), saysNeedless, callsScan},
	{"again and no program", "again", "", "'boot add'*) echo '" + saysNoFile + "'; exit 1 ;; scan*) echo '" + scanSummary(0) + "' ;;", saysNeedless, callsScan},
	{"again disabled", "again", "", "'boot list'*) echo '" + saysDisabled + "' ;;", "", "boot list --json\n"},
	{"again without a module", "again", "sys/module/lpatch", "", "", ""},
	{"again in a chroot", "again", "proc/1", "", "", ""},
	{"superseded", "add", "", "boot*) echo '" + saysSuperseded + "'; exit 2 ;;", saysSuperseded + "\n", "boot add " + lpFile + "\n"},
	{"again superseded", "again", "", "'boot add'*) echo '" + saysSuperseded + "'; exit 2 ;;", "", "boot list --json\nboot add " + lpFile + " --quiet\n"},
	{"purged", "purge", "", "revert*) echo reverted fix in greet[7] ;;", "reverted fix in greet[7]\n", "boot remove fix\nrevert fix --all\n"},
	{"purged and refused", "purge", "", "revert*) echo '" + saysActive + "'; exit 2 ;;",
		saysActive + "\nfix: this was not done; to try again: lpctl revert fix --all\n", "boot remove fix\nrevert fix --all\n"},
	{"purged without effect", "purge", "", "*) exit 5 ;;", "", "boot remove fix\nrevert fix --all\n"},
	{"purged without a module", "purge", "sys/module/lpatch", "", "", ""},
	{"purged in a chroot", "purge", "proc/1", "", "", ""},
	{"removed", "remove", "", "boot*) echo fix is not applied any more to what starts ;;", "fix is not applied any more to what starts\n", "boot remove fix\n"},
	{"removed by hand before", "remove", "", "boot*) echo nothing to do; exit 3 ;;", "", "boot remove fix\n"},
	{"removed without a module", "remove", "sys/module/lpatch", "", "", ""},
	{"removed in a chroot", "remove", "proc/1", "", "", ""},
}

// otherAgain is an lpctl where the file is another version, and that ends a scan so.
func otherAgain(status int, scan string) string {
	return fmt.Sprintf("'boot add'*) echo '%s'; exit 2 ;; scan*) echo '%s'; exit %d ;;", saysOther, scan, status)
}

// scanLine is what lpctl scan says of a process.
func scanLine(patch, state string) string {
	return fmt.Sprintf(`{"patch":"%s","pid":7,"comm":"greet","service":"greet.service","state":"%s","needs":true}`+"\n", patch, state)
}

func scanSummary(unseen int) string {
	return fmt.Sprintf(`{"summary":{"patches":1,"module":true,"processes":3,"need":0,"patched":0,"active":0,"unseen":%d,"files":5,"others":5}}`, unseen)
}

// TestPatchScript has the script meet all that lpctl may answer. It never fails.
func TestPatchScript(t *testing.T) {
	r := newPatchRoot(t)
	for _, c := range patchScript {
		t.Run(c.name, func(t *testing.T) {
			stub := "#!/bin/sh\necho \"$*\" >>/tmp/log\ncase $* in\n" + c.lpctl + "\nesac\n"
			run(t, "rm", "-rf", filepath.Join(r.dir, "var"))
			r.write(t, map[string]string{"sbin/lpctl": stub, "tmp/log": "", "etc/lpctl/boot.d/fix.yaml": ""})
			if c.missing != "" {
				path := filepath.Join(r.dir, c.missing)
				run(t, "mv", path, path+".away")
				defer run(t, "mv", path+".away", path)
			}
			verb, options, _ := strings.Cut(c.verb, " ")
			r.script(t, c.said, append([]string{verb, lpFile}, strings.Fields(options)...)...)
			if got := string(read(t, filepath.Join(r.dir, "tmp/log"))); got != c.called {
				t.Errorf("it calls lpctl with\n%swant\n%s", got, c.called)
			}
			left, err := filepath.Glob(filepath.Join(r.dir, "etc/lpctl/boot.d/fix.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if kept := len(left) == 1; kept != (c.verb != "remove" && c.verb != "purge") {
				t.Errorf("that the entry is kept is %t", kept)
			}
		})
	}
}

// write writes files that may be there already, and that may be executed.
func (r *rpmRoot) write(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(r.dir, path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// script calls the script, which never fails, and compares what it says.
func (r *rpmRoot) script(t *testing.T, want string, args ...string) {
	t.Helper()
	cmd := exec.Command("chroot", append([]string{r.dir, "/usr/lib/lpctl/lpatch-package"}, args...)...)
	cmd.Env = []string{"PATH=/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != want {
		t.Errorf("%v ends with %v and says\n%swant\n%s", args, err, out, want)
	}
}

// TestNeedless: that a package can go is said once, until the patch is of use again.
func TestNeedless(t *testing.T) {
	r := newPatchRoot(t)
	needless := otherAgain(0, scanSummary(0))
	for _, c := range []struct{ lpctl, verb, said string }{
		{needless, "again", saysNeedless}, {needless, "again", ""}, {"", "again", ""}, {needless, "again", saysNeedless},
		{"", "remove", ""}, {needless, "again", saysNeedless},
	} {
		r.write(t, map[string]string{"sbin/lpctl": "#!/bin/sh\ncase $* in\n" + c.lpctl + "\nesac\n"})
		r.script(t, c.said, c.verb, lpFile)
	}
}

// TestTidy: of the patches that came in packages those go whose files have gone, and no others.
func TestTidy(t *testing.T) {
	r := newPatchRoot(t)
	const other, own = "/usr/lib/lpatch/other.lp", "etc/lpctl/boot.d/own.yaml"
	filetest.Tree(t, r.dir, map[string]string{lpFile[1:]: "", other[1:]: "", "etc/lpctl/boot.d/other.yaml": "", own: ""})
	r.script(t, "", "add", lpFile)
	r.script(t, "", "add", other)
	r.script(t, "", "tidy")
	for _, name := range []string{"fix", "other", "own"} {
		read(t, filepath.Join(r.dir, "etc/lpctl/boot.d", name+".yaml"))
	}
	run(t, "rm", filepath.Join(r.dir, lpFile))
	r.write(t, map[string]string{"tmp/log": ""})
	r.script(t, "", "tidy")
	if got, want := string(read(t, filepath.Join(r.dir, "tmp/log"))), "lpctl boot remove fix\n"; got != want {
		t.Errorf("it calls\n%swant\n%s", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "etc/lpctl/boot.d/*")); len(left) != 2 {
		t.Errorf("these entries are left: %v", left)
	}
}

// callsOf are those that the script makes of lpctl for a patch that is added, and that is tried again, by name.
func callsOf(names ...string) (add, again string) {
	for _, name := range names {
		file := "/usr/lib/lpatch/" + name + ".lp"
		add += "lpctl boot add " + file + "\nlpctl apply " + file + " --all\n"
		again += "lpctl boot list --json\nlpctl boot add " + file + " --quiet\nlpctl apply " + file + " --all\n"
	}
	return add, again
}

// TestPatchRPM installs packages of patches, a later one, and their program, and takes them out.
func TestPatchRPM(t *testing.T) {
	r := newPatchRoot(t)
	run(t, "rpm", "--root", r.dir, "--initdb")
	first, second := patchPackage(t, packaging.RPM, "1", "greet-fix", "old"), patchPackage(t, packaging.RPM, "2", "greet-fix", "new")
	add, _ := callsOf("greet-fix", "old")
	r.rpm(t, "\n"+add, "--install", first)
	// What the newer one does not have goes, and after what it has.
	add, again := callsOf("greet-fix", "new")
	r.rpm(t, "\n"+add+"lpctl boot remove old\n", "--upgrade", second)
	r.rpm(t, "\n"+again, "--install", otherRPM(t, "greet", "/usr/bin/greet"))
	r.rpm(t, "", "--install", otherRPM(t, "other", "/usr/bin/other"))
	r.rpm(t, "\n"+again, "--install", otherRPM(t, "kernel-headers", "/usr/src/linux/Makefile"))
	r.rpm(t, "\nlpctl boot remove greet-fix\nlpctl boot remove new\n", "--erase", "lpatch-fix-greet")

	// Beside both from the start, and then without lpatch, which has the script.
	r.rpm(t, "\n"+add+again, "--install", second)
	entry := filepath.Join(r.dir, "etc/lpctl/boot.d/greet-fix.yaml")
	filetest.Tree(t, r.dir, map[string]string{"etc/lpctl/boot.d/greet-fix.yaml": ""})
	if err := os.RemoveAll(filepath.Join(r.dir, "usr/lib/lpctl")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rpm", "--root", r.dir, "--nodeps", "--erase", "lpatch-fix-greet").CombinedOutput()
	if err != nil {
		t.Errorf("rpm --erase: %v\n%s", err, out)
	}
	if _, err := os.Stat(entry); err == nil {
		t.Error("the entry is left")
	}
}

// patchPackage makes a package of this version, with patches of these names for a program greet.
func patchPackage(t *testing.T, kind *packaging.Kind, version string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	filetest.Copy(t, "/bin/busybox", filepath.Join(dir, "greet"))
	var files []string
	for _, name := range names {
		spec, err := applytest.Spec(name, filepath.Join(dir, "greet"))
		if err != nil {
			t.Fatal(err)
		}
		spec.About = &patch.About{Title: "a greeting", Package: "greet", Fixed: version}
		files = append(files, filepath.Join(dir, name+".lp"))
		if err := applytest.Write(files[len(files)-1], spec); err != nil {
			t.Fatal(err)
		}
	}
	p, err := packaging.New(files, packaging.Options{Maintainer: "Nobody <nobody@example.org>", Time: time.Unix(1700000000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.Build(t.Context(), []*packaging.Kind{kind}, dir)
	if err != nil {
		t.Fatal(err)
	}
	return made[0]
}

// dpkg does something to the packages of the system, and compares what their scripts called.
func (r *rpmRoot) dpkg(t *testing.T, want string, args ...string) {
	t.Helper()
	r.write(t, map[string]string{"tmp/log": ""})
	out, err := exec.Command("dpkg", append([]string{"--root=" + r.dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if got := string(read(t, filepath.Join(r.dir, "tmp/log"))); got != want {
		t.Errorf("dpkg %s: the scripts called\n%swant\n%s\n%s", strings.Join(args, " "), got, want, out)
	}
}

// otherDeb makes a package with one file.
func otherDeb(t *testing.T, name, path string) string {
	t.Helper()
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{
		"DEBIAN/control": "Package: " + name + "\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n", path: "",
	})
	run(t, "dpkg-deb", "--root-owner-group", "--build", dir, dir+".deb")
	return dir + ".deb"
}

// TestPatchDeb is TestPatchRPM for Debian packages.
func TestPatchDeb(t *testing.T) {
	r := newPatchRoot(t)
	filetest.Tree(t, r.dir, map[string]string{
		"var/lib/dpkg/status": "", "var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/updates/.x": "", "var/lib/dpkg/triggers/.x": "",
	})
	run(t, "rm", filepath.Join(r.dir, "var/lib/dpkg/updates/.x"))
	first, second := patchPackage(t, packaging.Deb, "1", "greet-fix", "old"), patchPackage(t, packaging.Deb, "2", "greet-fix", "new")
	scripts := t.TempDir()
	run(t, "dpkg-deb", "--control", first, scripts)
	run(t, "shellcheck", filepath.Join(scripts, "postinst"), filepath.Join(scripts, "postrm"))
	if said := run(t, "lintian", "--allow-root", "--fail-on", "none", "--suppress-tags",
		"unstripped-binary-or-object,shared-library-lacks-prerequisites,copyright-without-copyright-notice", first); said != "" {
		t.Errorf("lintian says\n%s", said)
	}
	r.dpkg(t, "", "--install", otherDeb(t, "lpatch", "usr/share/lpatch")) // which is there without having been installed
	add, again := callsOf("greet-fix", "old")
	r.dpkg(t, add, "--install", first)
	r.dpkg(t, again, "--install", otherDeb(t, "greet", "usr/bin/greet"))
	r.dpkg(t, "", "--unpack", second) // nothing goes yet
	add, again = callsOf("greet-fix", "new")
	r.dpkg(t, add+"lpctl boot remove old\n", "--configure", "lpatch-fix-greet")
	r.dpkg(t, again, "--install", otherDeb(t, "linux-headers", "usr/src/linux/Makefile"))
	r.dpkg(t, "", "--install", otherDeb(t, "other", "usr/bin/other"))
	r.dpkg(t, again, "--remove", "greet")
	r.dpkg(t, "lpctl boot remove greet-fix\nlpctl boot remove new\n", "--remove", "lpatch-fix-greet")
	r.dpkg(t, "lpctl boot remove greet-fix\nlpctl revert greet-fix --all\nlpctl boot remove new\nlpctl revert new --all\n", "--purge", "lpatch-fix-greet")

	// Without lpatch, which has the script.
	r.dpkg(t, add, "--install", second)
	filetest.Tree(t, r.dir, map[string]string{"etc/lpctl/boot.d/greet-fix.yaml": "", "target/etc/lpctl/boot.d/greet-fix.yaml": ""})
	run(t, "rm", "-r", filepath.Join(r.dir, "usr/lib/lpctl"))
	run(t, "env", "DPKG_ROOT=/target", "chroot", r.dir, "sh", "/var/lib/dpkg/info/lpatch-fix-greet.postrm", "remove") // of another system
	if _, err := os.Stat(filepath.Join(r.dir, "etc/lpctl/boot.d/greet-fix.yaml")); err != nil {
		t.Errorf("the entry of another system is removed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "target/etc/lpctl/boot.d/greet-fix.yaml")); err == nil {
		t.Error("the entry is left")
	}
	r.dpkg(t, "", "--purge", "lpatch-fix-greet")
	if _, err := os.Stat(filepath.Join(r.dir, "etc/lpctl/boot.d/greet-fix.yaml")); err == nil {
		t.Error("the entry is left")
	}
}

// TestElsewhere has the scripts run where package managers run them, and the kernel runs another system: whatever can be seen of that,
// lpctl is not called.
func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		name            string
		first, pids     string // the root of process 1, and the pid namespace; nothing for no /proc
		mount, dpkgRoot string
	}{
		{"chroot", "/bin", initialPIDs, "", ""},
		{"container", "/", "pid:[4026532281]", "", ""},
		{"no proc", "", "", "", ""},
		{"without chroot", "/", initialPIDs, "", "/target"},
		{"proc of the machine", "", "", "mount --rbind /proc $0/proc", ""}, // as people mount it to work in a chroot
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPatchRoot(t)
			run(t, "rm", "-r", filepath.Join(r.dir, "proc"))
			filetest.Tree(t, r.dir, map[string]string{"proc/x": "", "target/etc/lpctl/boot.d/fix.yaml": ""})
			if c.first != "" {
				run(t, "mkdir", "-p", filepath.Join(r.dir, "proc/1"), filepath.Join(r.dir, "proc/self/ns"))
				run(t, "ln", "-s", c.first, filepath.Join(r.dir, "proc/1/root"))
				run(t, "ln", "-s", c.pids, filepath.Join(r.dir, "proc/self/ns/pid"))
			}
			script := c.mount + "\nfor call in 'package add' 'package again' upgraded 'package remove'; do chroot $0 sh -c \"/usr/lib/lpctl/lpatch-$call " +
				lpFile + "\" || exit; done"
			cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, r.dir)
			cmd.Env = append(os.Environ(), "DPKG_ROOT="+c.dpkgRoot)
			out, err := cmd.CombinedOutput()
			if want := "fix: nothing is patched, as this system does not run; when it does: lpctl boot add " + lpFile + "\n"; err != nil || string(out) != want {
				t.Errorf("they end with %v and say\n%swant\n%s", err, out, want)
			}
			if got := string(read(t, filepath.Join(r.dir, "tmp/log"))); got != "" {
				t.Errorf("the kernel of another system is changed:\n%s", got)
			}
			if _, err := os.Stat(filepath.Join(r.dir, c.dpkgRoot, "etc/lpctl/boot.d/fix.yaml")); err == nil {
				t.Error("the entry of the package that was removed is left")
			}
		})
	}
}

// TestHostileText has scripts tell, by a shell whose echo knows escapes, of what lpctl has made visible, and of words that look like an
// escape. Neither gets to the terminal or into the kernel's log as what it means, and no process has its words taken for another answer.
func TestHostileText(t *testing.T) {
	r := newPatchRoot(t)
	run(t, "sh", "-c", `cp --parents $(ldd /bin/dash | grep -o '/[^ ]*') "$0" && cp /bin/dash "$0/bin/dash"`, r.dir)
	run(t, "install", "../../scripts/packaging/lpatch-replay", filepath.Join(r.dir, "usr/lib/lpctl"))
	const text = `lpctl: refused: /the patch is for/x\nlpctl: all is well \0033[2J[7]: no \c`
	hostile := fmt.Sprintf("printf '%%s\\n' '%s' >&2; exit 2", text)
	r.write(t, map[string]string{
		"sbin/lpctl": "#!/bin/sh\ncase $* in apply*) " + hostile + " ;; esac\n", "sbin/modprobe": "#!/bin/sh\n" + hostile + "\n", "proc/cmdline": "\n", "dev/kmsg": "",
	})
	for _, c := range []struct{ name, call, want string }{
		{"package", "package add " + lpFile, text + "\nfix: this was not done; to try again: lpctl apply " + lpFile + " --all\n"},
		{"package again", "package again " + lpFile, text + "\nfix: this was not done; to try again: lpctl apply " + lpFile + " --all\n"},
		{"replay", "replay /; cat /dev/kmsg", "<3>lpatch: the module does not load: " + text + "\n"},
	} {
		out, err := exec.Command("chroot", r.dir, "/bin/dash", "-c", "PATH=/sbin:/bin; /bin/dash /usr/lib/lpctl/lpatch-"+c.call).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s ends with %v and says\n%q, want\n%q", c.name, err, out, c.want)
		}
	}
}

// TestElsewhereDKMS: where dpkg works on another root without a chroot, DKMS, which has no notion of that, does not change the modules of
// the machine.
func TestElsewhereDKMS(t *testing.T) {
	r := newPatchRoot(t)
	filetest.Tree(t, r.dir, map[string]string{"usr/lib/dkms/x": ""})
	stub := "#!/bin/sh\necho dkms \"$@\" | tee -a /tmp/log\n"
	r.write(t, map[string]string{"usr/lib/dkms/common.postinst": stub, "sbin/dkms": stub})
	for _, name := range []string{"postinst", "prerm"} {
		run(t, "install", "../../scripts/packaging/deb/lpatch-dkms/"+name, filepath.Join(r.dir, "tmp"))
	}
	for _, c := range []struct{ dpkgRoot, called string }{
		{"", "dkms lpatch @VERSION@ /usr/share/lpatch-dkms  \ndkms status -m lpatch -v @VERSION@\ndkms remove -m lpatch -v @VERSION@ --all\n"},
		{"/target", ""},
	} {
		r.write(t, map[string]string{"tmp/log": ""})
		for _, call := range []string{"postinst configure", "prerm remove"} {
			run(t, "env", "DPKG_ROOT="+c.dpkgRoot, "PATH=/sbin:/bin", "chroot", r.dir, "sh", "-c", "/tmp/"+call)
		}
		if got := string(read(t, filepath.Join(r.dir, "tmp/log"))); got != c.called {
			t.Errorf("with DPKG_ROOT=%s this is called:\n%swant\n%s", c.dpkgRoot, got, c.called)
		}
	}
}
