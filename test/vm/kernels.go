// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kernelNames lists the kernels of test/kernels.yaml, in its order; those of other releases of Debian only if it is asked
// for all.
func kernelNames(all bool) ([]string, error) {
	path, err := inRoot("test/kernels.yaml")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var matrix struct {
		Kernels []struct{ Name, Suite string }
	}
	if err := yaml.Unmarshal(data, &matrix); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, k := range matrix.Kernels {
		if all || k.Suite == "" {
			names = append(names, k.Name)
		}
	}
	return names, nil
}

// TestKernels lists the kernels that tests are to run on: those in LPATCH_VM, of which "all" is every one of
// test/kernels.yaml, and "default" those that need no other release of Debian than 12.
// Without LPATCH_VM there are none, so that a plain `go test ./...` starts no machines.
func TestKernels() ([]string, error) {
	names := strings.Fields(os.Getenv("LPATCH_VM"))
	if len(names) == 1 && (names[0] == "all" || names[0] == "default") {
		return kernelNames(names[0] == "all")
	}
	return names, nil
}

// LooksForErrors says whether a kernel is one that scripts/build-debug-kernel builds: slow, and with much to say of what
// others pass over in silence.
func LooksForErrors(kernel string) bool {
	path, err := inRoot("test", "kconfig", kernel+".config")
	return err == nil && ifExists(path) != ""
}

// Slowness is how many times as long as on other kernels things may take on this one.
func Slowness(kernel string) int {
	if LooksForErrors(kernel) {
		return 5
	}
	return 1
}

// Option is the value that a kernel which Prepare has put in place is configured with: y, m, and so on, or "" if it has no
// such option.
func Option(kernel, option string) (string, error) {
	path, err := InCache("kernels", kernel, "config")
	if err != nil {
		return "", err
	}
	config, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(config)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), option+"="); ok {
			return value, nil
		}
	}
	return "", nil
}

// Prepare fetches and builds whatever a VM with cfg needs and does not have yet: the kernel itself, lpatch.ko for it
// (unless cfg names another module), lpctl and the guest's init. It is cheap when all is up to date. Progress goes to log.
func Prepare(cfg Config, log io.Writer) error {
	script, err := inRoot("scripts/vm-prepare")
	if err != nil {
		return err
	}
	args := []string{cfg.Kernel}
	if cfg.Module != "" {
		args = append([]string{"--no-module"}, args...)
	}
	cmd := exec.Command(script, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("preparing a VM with kernel %s: %w", cfg.Kernel, err)
	}
	return nil
}

// kernelFiles are the files that Prepare has put in place for one kernel.
type kernelFiles struct {
	release string
	vmlinuz string
	modules []string // of its own, and test/delay, that tests load
	module  string   // "" if there is none
	lpctl   string   // "" if there is none
	init    string
}

func findKernel(name string) (kernelFiles, error) {
	var k kernelFiles
	dir, err := InCache("kernels", name)
	if err != nil {
		return k, err
	}
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return k, fmt.Errorf("kernel %s is not here (scripts/fetch-kernels gets it): %w", name, err)
	}
	build, err := inRoot("build")
	if err != nil {
		return k, err
	}
	k.release = strings.TrimSpace(string(release))
	k.vmlinuz = filepath.Join(dir, "vmlinuz")
	if k.modules, err = filepath.Glob(filepath.Join(dir, "modules", "*.ko")); err != nil {
		return k, err
	}
	if delay := ifExists(filepath.Join(build, "kmod", k.release, "tests", "lpatch_delay.ko")); delay != "" {
		k.modules = append(k.modules, delay)
	}
	k.init = filepath.Join(build, "guest-init")
	k.module = ifExists(filepath.Join(build, "kmod", k.release, "lpatch.ko"))
	k.lpctl = ifExists(filepath.Join(build, "lpctl"))
	return k, nil
}

func ifExists(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
