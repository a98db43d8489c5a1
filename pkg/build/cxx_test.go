// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/test/patches/load"
)

func cxxVariants() []variant {
	var out []variant
	for _, cc := range []string{"g++", "clang++-14"} {
		for _, opt := range []string{"-O2", "-O3"} {
			out = append(out,
				variant{cc: cc, flags: []string{opt, "-fPIE"}, link: []string{"-pie"}},
				variant{cc: cc, flags: []string{opt, "-fno-pie"}, link: []string{"-no-pie"}},
				variant{cc: cc, flags: []string{opt, "-fPIC"}, shared: true})
		}
		out = append(out,
			variant{cc: cc, flags: []string{"-O2", "-fPIE", "-fcf-protection=full", "-fno-plt"}, link: []string{"-pie", "-Wl,-z,now"}},
			variant{cc: cc, flags: []string{"-O2", "-fno-pie"}, link: []string{"-no-pie", "-static"}})
	}
	return out
}

// TestCxx is TestRun for C++: exceptions are thrown from and through patched functions and caught by old and new ones; inline
// functions, templates, virtual functions and lambdas change; static and thread-local variables are kept. It uses a few
// variants; PATCHES=all uses all.
func TestCxx(t *testing.T) {
	for i, v := range cxxVariants() {
		if i%5 != 0 && os.Getenv("PATCHES") != "all" {
			continue
		}
		t.Run(v.name(), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && !slices.Contains(v.flags, "-O2") {
				t.Skip("only -O2 in short mode")
			}
			if _, err := exec.LookPath(v.cc); err != nil {
				t.Skipf("%s is not installed", v.cc)
			}
			runCxx(t, v)
		})
	}
}

func runCxx(t *testing.T, v variant) {
	dir := t.TempDir()
	target := compileCxx(t, v, dir, "old", nil)
	compileCxx(t, v, dir, "new", []string{"-DNEW"})
	// the initial values of thread-local variables change, too: threads that start later get the new values
	res, err := FromObjects(Options{Target: target, Old: []string{dir + "/old/objs"}, New: []string{dir + "/new/objs"}, Allowed: Allowed{StartCodeOK: true}, Name: "test", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	lp, plan := filepath.Join(dir, "test.lp"), filepath.Join(dir, "plan")
	write(t, lp, res.Data)
	if err := load.WritePlan(lp, plan); err != nil {
		t.Fatal(err)
	}
	want := runProgram(t, v, filepath.Join(dir, "new"), "FIRST=1")
	got := runProgram(t, v, filepath.Join(dir, "old"), "FIRST=1", "LP="+lp, "PLAN="+plan)
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the patched program differs from the new one (-want +got):\n%s", diff)
	}
	wantTerminate(t, v, filepath.Join(dir, "old"), "LP="+lp, "PLAN="+plan)
}

// wantTerminate lets an exception reach the end of a noexcept function of the patch.
func wantTerminate(t *testing.T, v variant, dir string, env ...string) {
	t.Helper()
	cmd := exec.Command(dir + "/prog")
	cmd.Env = append(append(os.Environ(), env...), "FIRST=1", "TERMINATE=1")
	if v.shared {
		cmd.Env = append(cmd.Env, "IMAGE=libunit.so")
	}
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGABRT || !strings.Contains(string(out), "'Failure'\n  what():  failure 3") {
		t.Errorf("%s: %v, want std::terminate to name the exception\n%s", cmd, err, out)
	}
}

// compileCxx is compileProgram for test/target/cxx.
func compileCxx(t *testing.T, v variant, dir, side string, defines []string) string {
	d := filepath.Join(dir, side)
	if err := os.MkdirAll(d+"/objs", 0o755); err != nil {
		t.Fatal(err)
	}
	cc := func(cc string, args ...string) {
		t.Helper()
		cmd := exec.Command(cc, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	for _, unit := range []string{"cxx", "old"} {
		args := append(append([]string{"-std=c++17", "-g", "-c", "../../test/target/cxx/" + unit + ".cc"}, v.flags...), defines...)
		cc(v.cc, append(args, "-o", d+"/"+unit+".o")...)
		cc(v.cc, append(args, "-ffunction-sections", "-fdata-sections", "-o", d+"/objs/"+unit+".o")...)
	}
	var around []string
	for i, source := range loader {
		around = append(around, fmt.Sprintf("%s/loader%d.o", d, i))
		cc("gcc", append([]string{"-c", source, "-o", around[i]}, v.flags...)...)
	}
	if v.shared {
		cc(v.cc, "-shared", "-o", d+"/libunit.so", "-Wl,-soname,libunit.so", d+"/cxx.o", d+"/old.o")
		cc(v.cc, append(around, "-o", d+"/prog", d+"/libunit.so", "-Wl,-rpath,"+d)...)
		return d + "/libunit.so"
	}
	cc(v.cc, slices.Concat([]string{"-o", d + "/prog"}, around, []string{d + "/cxx.o", d + "/old.o"}, v.link)...)
	return d + "/prog"
}
