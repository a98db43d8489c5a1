// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/test/patches/load"
)

// variant is a way to compile the test program.
type variant struct {
	cc     string
	flags  []string // of the units
	link   []string // of the program
	shared bool     // the units are a shared object
	bare   bool     // the patched file is stripped, and its symbols are recovered by code
}

func (v variant) name() string {
	if v.bare {
		return "stripped_" + variant{v.cc, v.flags, v.link, v.shared, false}.name()
	}
	return v.cc + strings.NewReplacer("-", "_", ",", "_").Replace(strings.Join(append(v.flags, v.link...), ""))
}

func variants() []variant {
	var out []variant
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, opt := range []string{"-O2", "-O3"} {
			out = append(out,
				variant{cc: cc, flags: []string{opt, "-fPIE"}, link: []string{"-pie"}},
				variant{cc: cc, flags: []string{opt, "-fno-pie"}, link: []string{"-no-pie"}},
				variant{cc: cc, flags: []string{opt, "-fPIC"}, shared: true})
		}
		out = append(out,
			variant{cc: cc, flags: []string{"-O2", "-fPIE", "-fcf-protection=full"}, link: []string{"-pie", "-Wl,-z,now"}},
			variant{cc: cc, flags: []string{"-Os", "-fPIC", "-fno-plt"}, shared: true},
			variant{cc: cc, flags: []string{"-O1", "-fPIC", "-fvisibility=default"}, link: []string{"-pie"}},
			variant{cc: cc, flags: []string{"-O2", "-fno-pie", "-fno-plt"}, link: []string{"-no-pie", "-static"}},
			variant{cc: cc, flags: []string{"-O2", "-fPIC", "-ftls-model=initial-exec"}, link: []string{"-Wl,-Bsymbolic"}, shared: true},
			variant{cc: cc, flags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}, bare: true},
			variant{cc: cc, flags: []string{"-O3", "-fno-pie"}, link: []string{"-no-pie"}, bare: true},
			variant{cc: cc, flags: []string{"-O2", "-fPIC"}, shared: true, bare: true},
			variant{cc: cc, flags: []string{"-Os", "-fno-pie"}, link: []string{"-no-pie", "-static"}, bare: true})
	}
	return out
}

// TestRun compiles a program, builds a patch for it, applies the patch in the memory of the program, and expects the same
// output as from the program compiled from the new source.
func TestRun(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name(), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && !slices.Contains(v.flags, "-O2") {
				t.Skip("only -O2 in short mode")
			}
			if _, err := exec.LookPath(v.cc); err != nil {
				t.Skipf("%s is not installed", v.cc)
			}
			runVariant(t, v)
		})
	}
}

func runVariant(t *testing.T, v variant) {
	dir := t.TempDir()
	target := compileProgram(t, v, dir, "old", nil)
	compileProgram(t, v, dir, "new", []string{"-DNEW"})
	if v.bare {
		if out, err := exec.Command("strip", target).CombinedOutput(); err != nil {
			t.Fatalf("strip: %v\n%s", err, out)
		}
	}
	res, err := FromObjects(Options{Target: target, Old: []string{dir + "/old/objs"}, New: []string{dir + "/new/objs"}, Name: "test", Tool: "test"})
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
	// patched after a round of the old code, the new code continues with its state: counter was 40 and both rounds add 12
	got = runProgram(t, v, filepath.Join(dir, "old"), "LP="+lp, "PLAN="+plan)
	for _, line := range []string{"new string", "switch 1: 64\n", "tls 9 10 counter 4 other 8\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("patched in the middle, the program does not print %q:\n%s", line, got)
		}
	}
}

// compileProgram creates DIR/SIDE/prog (and unit.so), and the objects with one section per function in DIR/SIDE/objs. It
// returns the file to patch.
func compileProgram(t *testing.T, v variant, dir, side string, defines []string) string {
	d := filepath.Join(dir, side)
	if err := os.MkdirAll(d+"/objs", 0o755); err != nil {
		t.Fatal(err)
	}
	cc := func(args ...string) {
		t.Helper()
		cmd := exec.Command(v.cc, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	if slices.Contains(v.link, "-static") || v.bare {
		defines = append(slices.Clone(defines), "-DNO_IMPORTS")
	}
	if v.shared {
		defines = append(slices.Clone(defines), "-DSHARED")
	}
	for _, unit := range []string{"unit", "other"} {
		args := append(append([]string{"-g", "-c", "testdata/" + unit + ".c"}, v.flags...), defines...)
		cc(append(args, "-o", d+"/"+unit+".o")...)
		cc(append(args, "-ffunction-sections", "-fdata-sections", "-o", d+"/objs/"+unit+".o")...)
	}
	if v.shared {
		cc(append(v.link, "-shared", "-o", d+"/libunit.so", "-Wl,-soname,libunit.so", d+"/unit.o", d+"/other.o", "-Wl,--no-as-needed", "-lm")...)
		cc(slices.Concat([]string{"-o", d + "/prog"}, loader, []string{d + "/libunit.so", "-Wl,-rpath," + d})...)
		return d + "/libunit.so"
	}
	args := slices.Concat([]string{"-O1", "-o", d + "/prog"}, loader, []string{d + "/unit.o", d + "/other.o", "-Wl,--no-as-needed", "-lm"}, v.link)
	if strings.Contains(strings.Join(v.link, " "), "-no-pie") {
		args = append(args, "-fno-pie")
	}
	cc(args...)
	return d + "/prog"
}

// loader lists the sources of the program that contains the unit.
var loader = []string{"testdata/loader.c", "../../test/patches/load/testdata/lpload.c"}

func runProgram(t *testing.T, v variant, dir string, env ...string) string {
	t.Helper()
	cmd := exec.Command(dir + "/prog")
	cmd.Env = append(os.Environ(), env...)
	if v.shared {
		cmd.Env = append(cmd.Env, "IMAGE=libunit.so")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, stderr.String(), out)
	}
	return string(out)
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
