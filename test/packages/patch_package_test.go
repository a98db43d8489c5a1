// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/filetest"
)

// newPatchRoot is such a system with the script that packages of patches call. What lpctl does there is to be told.
func newPatchRoot(t *testing.T) *rpmRoot {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can install packages")
	}
	r := newRPMRoot(t)
	for _, name := range []string{"lpatch-package", "lpatch-runs", "lpatch-upgraded"} {
		run(t, "install", "-D", "../../scripts/dist/"+name, filepath.Join(r.dir, "usr/lib/lpctl", name))
	}
	return r
}

// What lpctl may answer, and what it is called with.
const (
	lpFile       = "/usr/lib/lpatch/fix.lp"
	saysAdded    = "fix is applied to what starts from now on"
	saysOther    = "lpctl: refused: /usr/bin/greet has build-id 12, the patch is for build-id 34; rebuild the patch for this version"
	saysNoFile   = "lpctl: greet (build-id 34), which the patch is for, is in none of the usual folders; say where it is with --image PATH"
	saysActive   = "lpctl: refused: greet[7]: thread 7 is in greet"
	callsBoth    = "boot add " + lpFile + "\napply " + lpFile + " --all\n"
	callsAgain   = "boot list --json\nboot add " + lpFile + " --quiet\napply " + lpFile + " --all\n"
	saysDisabled = `{"patch":"fix","registered":false,"kept":true,"disabled":true,"on_failure":"run"}`
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
	{"again other version", "again", "", "'boot add'*) echo '" + saysOther + "'; exit 2 ;;", "", callsAgain},
	{"again disabled", "again", "", "'boot list'*) echo '" + saysDisabled + "' ;;", "", "boot list --json\n"},
	{"again without a module", "again", "sys/module/lpatch", "", "", ""},
	{"again in a chroot", "again", "proc/1", "", "", ""},
	{"removed", "remove", "", "boot*) echo fix is not applied any more to what starts ;;", "fix is not applied any more to what starts\n", "boot remove fix\n"},
	{"removed by hand before", "remove", "", "boot*) echo nothing to do; exit 3 ;;", "", "boot remove fix\n"},
	{"removed without a module", "remove", "sys/module/lpatch", "", "", ""},
	{"removed in a chroot", "remove", "proc/1", "", "", ""},
}

// TestPatchScript has the script meet all that lpctl may answer. It never fails.
func TestPatchScript(t *testing.T) {
	r := newPatchRoot(t)
	for _, c := range patchScript {
		t.Run(c.name, func(t *testing.T) {
			stub := "#!/bin/sh\necho \"$*\" >>/tmp/log\ncase $* in\n" + c.lpctl + "\nesac\n"
			for path, text := range map[string]string{"sbin/lpctl": stub, "tmp/log": "", "etc/lpctl/boot.d/fix.yaml": ""} {
				if err := os.WriteFile(filepath.Join(r.dir, path), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.missing != "" {
				path := filepath.Join(r.dir, c.missing)
				run(t, "mv", path, path+".away")
				defer run(t, "mv", path+".away", path)
			}
			verb, options, _ := strings.Cut(c.verb, " ")
			cmd := exec.Command("chroot", append([]string{r.dir, "/usr/lib/lpctl/lpatch-package", verb, lpFile}, strings.Fields(options)...)...)
			cmd.Env = []string{"PATH=/sbin:/bin"}
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != c.said {
				t.Errorf("it ends with %v and says\n%swant\n%s", err, out, c.said)
			}
			if got := string(read(t, filepath.Join(r.dir, "tmp/log"))); got != c.called {
				t.Errorf("it calls lpctl with\n%swant\n%s", got, c.called)
			}
			left, err := filepath.Glob(filepath.Join(r.dir, "etc/lpctl/boot.d/fix.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if kept := len(left) == 1; kept != (c.verb != "remove") {
				t.Errorf("that the entry is kept is %t", kept)
			}
		})
	}
}

// TestPatchRPM installs the guide's package of a patch, a later one, and its program, and takes it out.
func TestPatchRPM(t *testing.T) {
	const spec = "../../Documentation/example/package/rpm/greet-fix.spec"
	r := newPatchRoot(t)
	run(t, "rpm", "--root", r.dir, "--initdb")
	first, second := patchRPM(t, string(read(t, spec)), "1"), patchRPM(t, string(read(t, spec)), "2")
	const add = `
lpctl boot add /usr/lib/lpatch/greet-fix.lp
lpctl apply /usr/lib/lpatch/greet-fix.lp --all
`
	r.rpm(t, add, "--install", first)
	r.rpm(t, add, "--upgrade", second)
	const again = `
lpctl boot list --json
lpctl boot add /usr/lib/lpatch/greet-fix.lp --quiet
lpctl apply /usr/lib/lpatch/greet-fix.lp --all
`
	r.rpm(t, again, "--install", otherRPM(t, "greet", "/usr/bin/greet"))
	r.rpm(t, again, "--install", otherRPM(t, "kernel-headers", "/usr/src/linux/Makefile"))
	r.rpm(t, "\nlpctl boot remove greet-fix\n", "--erase", "greet-fix")

	// Beside both from the start, and then without lpatch, which has the script.
	r.rpm(t, add+again[1:]+again[1:], "--install", first)
	entry := filepath.Join(r.dir, "etc/lpctl/boot.d/greet-fix.yaml")
	filetest.Tree(t, r.dir, map[string]string{"etc/lpctl/boot.d/greet-fix.yaml": ""})
	if err := os.RemoveAll(filepath.Join(r.dir, "usr/lib/lpctl")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rpm", "--root", r.dir, "--nodeps", "--erase", "greet-fix").CombinedOutput()
	if err != nil {
		t.Errorf("rpm --erase: %v\n%s", err, out)
	}
	if _, err := os.Stat(entry); err == nil {
		t.Error("the entry is left")
	}
}

// patchRPM makes the package, of this version.
func patchRPM(t *testing.T, spec, version string) string {
	t.Helper()
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{
		"greet-fix.lp": "patch", "greet-fix.spec": strings.Replace(spec, "Version: 1", "Version: "+version, 1),
	})
	run(t, "rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir,
		"--define", "patches "+dir, filepath.Join(dir, "greet-fix.spec"))
	return filepath.Join(dir, "x86_64/greet-fix-"+version+"-1.x86_64.rpm")
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
