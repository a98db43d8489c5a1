// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/protocol"
)

// TestMain makes a system of the machine, as far as the tests need one: with the firmware's variables, and with modprobe
// knowing where lpatch is.
func TestMain(m *testing.M) {
	for _, command := range []string{
		"insmod " + protocol.ModulesDir + "/efivarfs.ko",
		"mount -t efivarfs efivarfs /sys/firmware/efi/efivars",
		"mount -t securityfs securityfs /sys/kernel/security",
		"depmod",
	} {
		if out, err := shell(command); err != nil {
			fmt.Printf("%s: %v\n%s", command, err, out)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// shell runs a command of the shell in the directory with the keys, the program and its patch, and returns what it prints.
func shell(command string) (string, error) {
	out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput()
	return string(out), err
}

// sh runs a command that must succeed.
func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := shell(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// wantRefused runs a command that must fail with that on its output.
func wantRefused(t *testing.T, command, want string) {
	t.Helper()
	if out, err := shell(command); err == nil || strings.TrimSpace(out) != want {
		t.Fatalf("%s: %v\n%swant\n%s", command, err, out, want)
	}
}

// finding is what doctor says of one thing.
type finding struct {
	Check, Message string
	OK             bool
}

// doctor asks lpctl doctor, which fails if something is not ok.
func doctor(t *testing.T) map[string]finding {
	t.Helper()
	out, err := exec.Command("lpctl", "doctor", "--json").Output()
	all, bad := map[string]finding{}, false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var f finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("doctor says %s: %v", lines.Text(), err)
		}
		all[f.Check] = f
		bad = bad || !f.OK
	}
	if (err != nil) != bad {
		t.Fatalf("doctor ends with %v and says\n%s", err, out)
	}
	return all
}

// wantAdvice has doctor say that of Secure Boot, and returns what is quoted in it: commands, as a rule.
func wantAdvice(t *testing.T, ok bool, message string) (quoted []string) {
	t.Helper()
	got := doctor(t)["secure boot"]
	if got.OK != ok || got.Message != message {
		t.Fatalf("doctor says\n%v %s\nwant\n%v %s", got.OK, got.Message, ok, message)
	}
	for _, q := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(message, -1) {
		quoted = append(quoted, q[1])
	}
	return quoted
}

// module is where "make install" puts the module.
func module(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return "/lib/modules/" + unix.ByteSliceToString(u.Release[:]) + "/updates/lpatch.ko"
}

// required is what doctor's sentences about modules begin with here.
const required = "the kernel is locked down (integrity, as Secure Boot is on): modules must be signed"

// enroll is what doctor says of a key of DKMS's.
const enroll = `"mokutil --import /var/lib/dkms/mok.pub" asks for a password; boot, and choose "Enroll MOK" in the screen that comes ` +
	`before the system`

// wantLockedDown looks at what the kernel says: without this the rest would tell nothing.
func wantLockedDown(t *testing.T) {
	t.Helper()
	if got := sh(t, "cat /sys/kernel/security/lockdown"); got != "none [integrity] confidentiality\n" {
		t.Fatalf("the lockdown is %s", got)
	}
	wantLog(t, "secureboot: Secure boot enabled")
	wantLog(t, "Kernel is locked down from EFI Secure Boot; see man kernel_lockdown.7")
}

// wantLog looks for a line in the kernel's log.
func wantLog(t *testing.T, want string) {
	t.Helper()
	if log := sh(t, "dmesg"); !strings.Contains(log, want) {
		t.Fatalf("the kernel does not say %q, but\n%s", want, log)
	}
}

// wantNotLoaded tries to load the module, for which the kernel must have that reason.
func wantNotLoaded(t *testing.T, reason string) {
	t.Helper()
	sh(t, "dmesg -c")
	if out, err := shell("modprobe lpatch"); err == nil {
		t.Fatalf("the module is loaded: %s", out)
	}
	wantLog(t, reason)
	if got := doctor(t)["module"]; got.OK {
		t.Fatalf("doctor says of the module that was refused: %s", got.Message)
	}
}

// The kernel's reasons not to load a module.
const (
	saysUnsigned = "Loading of unsigned module is rejected"
	saysUnknown  = "Loading of module with unavailable key is rejected"
)

// wantAdviceToSign has doctor say how to sign the module with the key that is where DKMS has it, and does so.
func wantAdviceToSign(t *testing.T, whatElse string) {
	t.Helper()
	sh(t, "mkdir -p /var/lib/dkms && cp mok.pub mok.key /var/lib/dkms")
	path := module(t)
	quoted := wantAdvice(t, false, required+", and "+path+` is not; "`+strings.TrimSuffix(path, "updates/lpatch.ko")+
		"build/scripts/sign-file sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub "+path+`" signs it (or kmodsign, where there is `+
		"that)"+whatElse)
	sh(t, quoted[0])
}

// TestNotEnrolled is about a machine that knows the distribution's keys only: nobody's signature helps, and doctor says each
// time what is the next thing to do. In the end the key is to be enrolled.
func TestNotEnrolled(t *testing.T) {
	wantLockedDown(t)
	path := module(t)
	sh(t, "cp "+path+" unsigned.ko")
	wantNotLoaded(t, saysUnsigned)
	wantAdvice(t, false, required+", and "+path+" is not; make a key and sign it as Documentation/distribution-guide.md tells, or have "+
		"the package lpatch-dkms do both")

	sh(t, os.Getenv("SIGN_MODULE"))
	wantNotLoaded(t, saysUnknown)
	wantAdvice(t, false, required+", and whose key signed "+path+` is not known here; if "modprobe lpatch" is refused, enroll its `+
		"certificate: "+strings.Replace(enroll, "/var/lib/dkms/mok.pub", "CERTIFICATE.der", 1))

	sh(t, "cp unsigned.ko "+path)
	wantAdviceToSign(t, ", and the certificate must be enrolled: "+enroll)
	wantNotLoaded(t, saysUnknown)
	quoted := wantAdvice(t, false, required+` by a key that the machine knows, and "modules of this machine", by which lpatch is, is `+
		"none; "+enroll)
	sh(t, `printf '%s\n%s\n' "$PASSWORD" "$PASSWORD" | `+quoted[1])
}

// TestEnrolled is about the same machine when its owner has enrolled the key.
func TestEnrolled(t *testing.T) {
	wantLockedDown(t)
	wantNotLoaded(t, saysUnsigned)
	wantAdviceToSign(t, ": the certificate is enrolled")
	quoted := wantAdvice(t, true, required+`, and lpatch is, by the owner's key "modules of this machine": "modprobe lpatch" works`)
	sh(t, quoted[1])
	wantAdvice(t, true, required+"; the module is there, as a part of the kernel or with a signature that it takes")
	wantSignatures(t, false, `patches must be signed, and the keyring .lpatch has no key, so no patch can be applied; "lpctl key add CERT" `+
		"puts one in")
	signedPatches(t)
	wantSignatures(t, true, `patches must be signed by a key in the keyring .lpatch, which has 2, see "lpctl key"`)
}

// wantSignatures has doctor say that of signatures, and nothing bad of anything else.
func wantSignatures(t *testing.T, ok bool, message string) {
	t.Helper()
	for name, f := range doctor(t) {
		if name == "signatures" && (f.OK != ok || f.Message != message) || name != "signatures" && !f.OK {
			t.Errorf("doctor says of %s: %v %s", name, f.OK, f.Message)
		}
	}
}

const requires = "and this kernel requires a signature (lpatch.require_signature or lockdown)"

// signedPatches patches a program that runs: only with the patch signed, by a key that the owner's key vouches for.
func signedPatches(t *testing.T) {
	const apply = "lpctl apply --max-stop 2s --exe greet fix.lp" // machines are slow
	refused := fmt.Sprintf("lpctl: refused: greet[%s]: the patch is ", strings.TrimSpace(sh(t, "./greet >>log 2>&1 & echo $!")))
	wantSaid(t, "Helo number ")
	wantRefused(t, apply, refused+"not signed, "+requires)
	wantRefused(t, "lpctl key add stranger.pub", "lpctl: stranger.pub: the keyring .lpatch takes only certificates that a key trusted "+
		"by the kernel vouches for: sign it with such a key (a machine owner key, for one)")
	sh(t, "lpctl key add patches.pem")
	sh(t, "lpctl sign --key stranger.key --cert stranger.pub fix.lp")
	wantRefused(t, apply, refused+"signed with a key that is not in the keyring .lpatch, "+requires)
	wantSaid(t, "Helo number ")
	sh(t, os.Getenv("SIGN_PATCH"))
	sh(t, apply)
	wantSaid(t, "Hello, number ")
	sh(t, "lpctl revert --max-stop 2s --exe greet fix.lp")
	wantSaid(t, "Helo number ")
	sh(t, "lpctl sign --key mok.key --cert mok.pub fix.lp && lpctl key add mok.pub && "+apply)
	wantSaid(t, "Hello, number ")
}

// wantSaid waits for the program to say it.
func wantSaid(t *testing.T, want string) {
	t.Helper()
	sh(t, ": >log") // the program appends
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if strings.Contains(sh(t, "cat log"), want) {
			return
		}
	}
	t.Fatalf("the program does not say %q, but\n%s", want, sh(t, "tail log"))
}
