// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/build"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
	"lpatch/test/patches/load"
)

// compile builds a program of testdata that patches itself.
func compile(t *testing.T, cc, flags, source string) string {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed", cc)
	}
	dir := t.TempDir()
	run(t, "gcc", "-O1", "-c", "../../test/patches/load/testdata/lpload.c", "-o", dir+"/lpload.o")
	args := append(strings.Fields(flags), "-w", "-o", dir+"/prog", "testdata/"+source, dir+"/lpload.o")
	run(t, cc, args...)
	return dir + "/prog"
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// mitigated runs a program that applies the patch to itself, and returns its output from then on.
func mitigated(t *testing.T, prog string, data []byte, env ...string) string {
	t.Helper()
	lp, plan := filepath.Join(t.TempDir(), "x.lp"), filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(lp, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load.WritePlan(lp, plan); err != nil {
		t.Fatal(err)
	}
	f, err := patch.Open(lp)
	if err != nil {
		t.Fatal(err)
	}
	frames, _ := f.Frames()
	cmd := exec.Command(prog)
	cmd.Env = append(os.Environ(), "LP="+lp, "PLAN="+plan, fmt.Sprintf("HITS=%#x", f.Spec.Mitigation.Hits), fmt.Sprintf("FRAMES=%#x", frames))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "after\n")
	return after
}

var variants = []struct{ cc, flags string }{
	{"gcc", "-g -O2 -fPIE -pie -fcf-protection=branch"},
	{"gcc", "-g -O0 -fno-pie -no-pie"},
	{"gcc", "-g -Os -fPIE -pie -fno-plt"},
	{"clang-14", "-g -O2 -fPIE -pie"},
}

var hits = regexp.MustCompile(`(?m)^hits ([0-9]+)\nsteps [1-9][0-9]* wrong 0\n`)

// TestLog counts the calls of each function of a program in turn. The program must behave as before, and a backtrace at each
// instruction of the patch must find the caller.
func TestLog(t *testing.T) {
	for _, v := range variants {
		t.Run(v.cc+strings.NewReplacer(" ", "_", "=", "_").Replace(v.flags), func(t *testing.T) {
			t.Parallel()
			prog := compile(t, v.cc, v.flags, "calls.c")
			_, want, _ := strings.Cut(run(t, prog), "after\n")
			refused := 0
			for _, name := range functionsOf(t, prog) {
				res, err := Make(Options{Target: prog, Function: name, Log: true, Name: "m", Tool: "t"})
				if err != nil {
					t.Logf("%v", err)
					refused++
					continue
				}
				got := mitigated(t, prog, res.Data, "STEP=1")
				count := hits.FindStringSubmatch(got)
				if diff := cmp.Diff(want, hits.ReplaceAllString(got, "")); diff != "" || count == nil || count[1] == "0" {
					t.Errorf("%s, %v (-want +got):\n%s", name, count, diff)
				} else if n := calls[name]; n != "" && n != count[1] {
					t.Errorf("%s is called %s times, not %s", name, count[1], n)
				}
			}
			if refused > 8 {
				t.Errorf("%d functions are refused", refused)
			}
		})
	}
}

// calls contains the expected number of calls of functions that others do not call.
var calls = map[string]string{
	"first_global": "3", "after_call": "3", "calls_first": "3", "begins_with_call": "3", "big_frame": "3", "dynamic": "3", "by_pointer": "3", "empty": "3", "does": "3",
	"truth": "3", "floating": "3", "wide": "3", "big": "3", "variadic": "3", "table": "3", "jumps": "3", "returns_twice": "3",
}

// functionsOf returns the functions that calls.c defines for this purpose.
func functionsOf(t *testing.T, prog string) []string {
	text, err := os.ReadFile("testdata/calls.c")
	if err != nil {
		t.Fatal(err)
	}
	f, err := lpelf.Open(prog)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^FN .*?(\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		for _, s := range f.Symbols {
			if s.Name == m[1] && s.Defined() && s.Name != "fatal" {
				out = append(out, s.Name)
			}
		}
	}
	if len(out) < 35 {
		t.Fatalf("only %q", out)
	}
	return out
}

// TestReturn makes functions return constants, and checks the values that their callers get.
func TestReturn(t *testing.T) {
	for _, v := range variants {
		t.Run(v.cc+strings.NewReplacer(" ", "_", "=", "_").Replace(v.flags), func(t *testing.T) {
			t.Parallel()
			prog := compile(t, v.cc, v.flags, "calls.c")
			for _, c := range []struct{ name, value, line string }{
				{"first_global", "-1", "first_global(i) -1"},
				{"first_global", "0x7fffffff", "first_global(i) 2147483647"},
				{"factorial", "0", "factorial(i) 0"},
				{"truth", "1", "truth(i) 1"},
				{"truth", "0", "truth(i) 0"},
				{"byte", "255", "byte(i) 255"},
				{"byte", "-1", "byte(i) 255"},
				{"two_bytes", "65535", "two_bytes(i) 65535"},
				{"signed_byte", "-128", "signed_byte(i) -128"},
				{"eight", "-9223372036854775808", "eight(i) -9223372036854775808"},
				{"eight", "4294967296", "eight(i) 4294967296"},
				{"eight", "-2147483648", "eight(i) -2147483648"},
				{"eight", "-2147483649", "eight(i) -2147483649"},
				{"unsigned_eight", "18446744073709551615", "unsigned_eight(i) 18446744073709551615"},
				{"unsigned_eight", "0x80000000", "unsigned_eight(i) 2147483648"},
				{"pointer", "0", "pointer(i) (null)"},
				{"hue", "7", "hue(i) 7"},
				{"big_frame", "3", "big_frame(i) 3"},
				{"variadic", "9", "variadic(i, 1.0, 2.0) 9"},
			} {
				res, err := Make(Options{Target: prog, Function: c.name, Return: c.value, Name: "m", Tool: "t"})
				if strings.Contains(refusalOf(err), "[function-too-short]") {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				got := mitigated(t, prog, res.Data)
				if n := strings.Count(got, "\n"+c.line+"\n"); n != 3 || c.name != "factorial" && !strings.Contains(got, "hits 3\n") {
					t.Errorf("%s returns %s: %q %d times of 3:\n%s", c.name, c.value, c.line, n, got)
				}
			}
			for _, name := range []string{"does", "does_too"} {
				res, err := Make(Options{Target: prog, Function: name, Return: "void", Name: "m", Tool: "t"})
				if err != nil {
					t.Fatal(err)
				}
				if got := mitigated(t, prog, res.Data); !strings.Contains(got, "hits 3\n") {
					t.Errorf("%s:\n%s", name, got)
				}
			}
		})
	}
}

// TestTrap checks that the program terminates at the first call.
func TestTrap(t *testing.T) {
	prog := compile(t, "gcc", "-g -O2", "calls.c")
	res, err := Make(Options{Target: prog, Function: "eight", Trap: true, Name: "m", Tool: "t"})
	if err != nil {
		t.Fatal(err)
	}
	const warning = "eight: each process that calls it is ended by SIGILL, or goes into the handler that it has for that, and never on"
	if diff := cmp.Diff([]string{warning}, res.Warnings); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	lp, plan := filepath.Join(t.TempDir(), "x.lp"), filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(lp, res.Data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load.WritePlan(lp, plan); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(prog)
	cmd.Env = append(os.Environ(), "LP="+lp, "PLAN="+plan)
	if err := cmd.Run(); err == nil || err.Error() != "signal: illegal instruction" && err.Error() != "signal: illegal instruction (core dumped)" {
		t.Errorf("%v", err)
	}
}

// TestSame checks that the output is deterministic.
func TestSame(t *testing.T) {
	prog := compile(t, "gcc", "-g -O2", "calls.c")
	var all []*build.Result
	for range 2 {
		res, err := Make(Options{Target: prog, Function: "eight", Log: true, Name: "m", Tool: "t"})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res)
	}
	if string(all[0].Data) != string(all[1].Data) {
		t.Error("the files differ")
	}
}
