// SPDX-License-Identifier: GPL-2.0

// Package secureboot tests lpatch on a machine with Secure Boot: UEFI firmware that starts Debian's signed boot loaders, and
// these Debian's signed kernel, which is locked down then. The owner's key is made as the documentation says, and enrolled as
// there: with mokutil, and in the screen that comes before the system.
package secureboot

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lpatch/test/vm"
)

// kernel is Debian 12's own, which Debian has signed for Secure Boot.
const kernel = "6.1"

// timeout is for one machine. It takes half a minute alone on the processors.
const timeout = 10 * time.Minute

// password is what the owner answers mokutil, and then the screen.
const password = "live patching"

// Keys of a terminal.
const (
	enter = "\r"
	down  = "\x1b[B"
)

// enrolling is what the owner does in the screen of MokManager: the first answer is any key.
var enrolling = []vm.Answer{
	{Prompt: "Press any key to perform MOK management", Keys: enter},
	{Prompt: "Enroll MOK", Keys: down + enter},
	{Prompt: "View key 0", Keys: down + enter},
	{Prompt: "Enroll the key(s)?", Keys: down + enter},
	{Prompt: "Password:", Keys: password + enter},
	{Prompt: "Reboot", Keys: enter},
}

func TestSecureBoot(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kernels, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	if err := vm.Prepare(vm.Config{Kernel: kernel, Module: vm.NoModule}, t.Output()); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	steps := []struct {
		name string
		test func(t *testing.T)
	}{
		{"not enrolled", func(t *testing.T) { m.want(t, "TestNotEnrolled") }},
		{"enrolling", m.enroll},
		{"enrolled", func(t *testing.T) { m.want(t, "TestEnrolled") }},
	}
	for _, s := range steps {
		if !t.Run(s.name, s.test) {
			return // the next one would need what this one was to do
		}
	}
}

// machine is the machine with Secure Boot: what it is to remember from one boot to the next is its firmware's.
type machine struct{ cfg vm.Config }

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	keys := makeKeys(t, dir)
	signFile := cached(t, "kernels", kernel, "headers/scripts/sign-file")
	cfg := vm.Config{
		Kernel: kernel, Module: vm.NoModule, Timeout: timeout, Dir: "/root", Script: filepath.Join(dir, "inside.test"),
		Firmware: firmware(t, dir),
		Env: []string{
			"PASSWORD=" + password, "SIGN_MODULE=" + documented(t, "distribution-guide.md", "/lib/modules/"),
			"SIGN_PATCH=" + documented(t, "signed-patches.md", "lpctl sign --key patches.key"),
		},
		Files: []vm.File{
			{Host: installModule(t, dir), Guest: "/lib/modules"},
			{Host: signFile, Guest: "/lib/modules/" + release(t) + "/build/scripts/sign-file"},
			{Host: buildExample(t, dir), Guest: "/root"},
			{Host: keys, Guest: "/root"},
			{Host: "/usr/bin/mokutil", Guest: "/usr/bin/mokutil"},
		},
	}
	run(t, "", nil, "go", "test", "-c", "-tags", "vm", "-o", cfg.Script, "lpatch/test/secureboot/inside")
	return &machine{cfg}
}

// want boots the machine; a test inside must pass.
func (m *machine) want(t *testing.T, test string) {
	var out, log bytes.Buffer
	cfg := m.cfg
	cfg.Args = []string{"-test.v", "-test.timeout", timeout.String(), "-test.run", "^" + test + "$"}
	cfg.Stdout, cfg.Stderr, cfg.KernelLog = &out, &out, &log
	res, err := vm.Run(t.Context(), cfg)
	wantNoFailure(t, err)
	if res.Status != 0 || !strings.Contains(out.String(), "--- PASS: "+test+" ") {
		t.Fatalf("status %d\n%s\n%s", res.Status, &out, &log)
	}
	t.Logf("booted in %v, all took %v", res.Boot.Round(time.Second), res.Total.Round(time.Second))
}

func (m *machine) enroll(t *testing.T) {
	res, err := vm.Converse(t.Context(), m.cfg, enrolling)
	wantNoFailure(t, err)
	t.Logf("took %v", res.Total.Round(time.Second))
}

func wantNoFailure(t *testing.T, err error) {
	t.Helper()
	var failure *vm.Failure
	if errors.As(err, &failure) {
		t.Fatalf("%v\n%s\n%s", err, failure.Output, failure.Log)
	}
	if err != nil {
		t.Fatal(err)
	}
}
