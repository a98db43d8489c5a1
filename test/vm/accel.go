// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"lpatch/test/vm/protocol"
)

// How long a machine with KVM may take to boot before we call KVM unusable: with a working one it is a second or two.
const probeTimeout = 20 * time.Second

// countKHz is the rate of the time-stamp counter of a machine whose clock counts instructions, each of which takes 1 ns.
const countKHz = 1_000_000

func accelArgs(accel string) []string {
	switch accel {
	case "kvm":
		return []string{"-accel", "kvm", "-cpu", "host"}
	case "icount":
		// What the guest takes for chance comes from a seed: where memory lies, what has which place in a hash.
		return []string{"-accel", "tcg,thread=single", "-cpu", "max", "-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm"}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}
}

// accelerator chooses between kvm and tcg: what LPATCH_ACCEL says, else kvm where it boots a guest. That /dev/kvm opens
// proves nothing (nested virtualisation may offer it and then stop at the first odd instruction), so a machine is
// booted once; the answer is kept for this kernel, processor and QEMU.
func accelerator(ctx context.Context, k kernelFiles) (string, error) {
	switch accel := os.Getenv("LPATCH_ACCEL"); accel {
	case "kvm", "tcg":
		return accel, nil
	case "":
	default:
		return "", fmt.Errorf("LPATCH_ACCEL=%s: it can be kvm or tcg", accel)
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg", nil //nolint:nilerr // no KVM is no error
	}
	f.Close()

	cache, err := inRoot("build", "accel-"+machineID())
	if err != nil {
		return "", err
	}
	if known, err := os.ReadFile(cache); err == nil {
		return strings.TrimSpace(string(known)), nil
	}
	accel := "tcg"
	if probe(ctx, k) {
		accel = "kvm"
	}
	if ctx.Err() != nil {
		return "", ctx.Err() // a probe cut short has shown nothing
	}
	tmp := fmt.Sprintf("%s.%d", cache, os.Getpid())
	if err := os.WriteFile(tmp, []byte(accel+"\n"), 0o644); err != nil {
		return "", err
	}
	return accel, os.Rename(tmp, cache)
}

// machineID changes whenever a new probe might have another answer.
func machineID() string {
	h := sha256.New()
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Write(release)
	}
	if cpus, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(cpus)) {
			if strings.HasPrefix(line, "model name") || strings.HasPrefix(line, "flags") {
				h.Write([]byte(line))
			}
		}
	}
	if version, err := exec.Command("qemu-system-x86_64", "--version").Output(); err == nil {
		h.Write(version)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// probe tells whether a guest with nothing to do boots and ends under KVM.
func probe(ctx context.Context, k kernelFiles) bool {
	dir, err := os.MkdirTemp("", "lpatch-kvm-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	cfg := Config{Timeout: probeTimeout}.withDefaults()
	m := &machine{cfg: cfg, kernel: k, dir: dir, accel: "kvm"}
	_, err = m.boot(ctx, protocol.Job{Argv: []string{"/bin/sh", "-c", "true"}, Dir: "/"})
	return err == nil
}
