// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// patchValues does a verb with a patch that lpctl built for a program of setting.c, and reads what it says.
func patchValues(t *testing.T, verb, lp string, pid int, want string) {
	t.Helper()
	said := map[string]string{"apply": "applied", "restore": "restored", "unload": "unloaded"}[verb]
	status, stdout, stderr := lpctl(t, verb, fixtures+lp, "--pid", fmt.Sprint(pid), "--timeout", "60s", "--max-stop", "2s")
	if status != 0 || !strings.HasPrefix(stdout, said) || !strings.Contains(stdout, want) {
		t.Fatalf("%s: exit status %d\n%s%swant %s", verb, status, stdout, stderr, want)
	}
}

// TestValues changes values of each kind together with the function that looks at them, while threads call it: none of
// them may see the new function with an old value, or the old one with a new.
//
//machine:slow
func TestValues(t *testing.T) {
	for program, lp := range map[string]string{
		"setting-pie": "setting-pie.lp", "setting-nopie": "setting-nopie.lp", "setting-shared": "libsetting.so.lp",
	} {
		t.Run(program, func(t *testing.T) {
			v := startVictim(t, program, "-t", "4", "-m", "spin")
			for range 5 {
				patchValues(t, "apply", lp, v.pid, ": 1 function, 6 values, ")
				v.wantValue(2)
				patchValues(t, "restore", lp, v.pid, ": 1 function, 6 values, ")
				v.wantValue(1)
			}
			patchValues(t, "apply", lp, v.pid, ": 1 function, 6 values, ")
			if _, stdout, _ := lpctl(t, "status", "--json"); !strings.Contains(stdout, `"functions":1,"values":6,`) {
				t.Fatalf("status:\n%s", stdout)
			}
			patchValues(t, "restore", lp, v.pid, "")
			patchValues(t, "unload", lp, v.pid, "")
			v.wantValue(1)
			v.wantNoWrong()
		})
	}
}

// TestValuesFixture looks whether the patches have the sites that the tests are about.
func TestValuesFixture(t *testing.T) {
	f, err := patch.Open(fixtures + "setting-pie.lp")
	if err != nil {
		t.Fatal(err)
	}
	sites, pages := map[string]int{}, map[uint64]bool{}
	for _, s := range f.Spec.Sites {
		sites[s.Symbol]++
		if s.Symbol == "edge" {
			pages[s.Vaddr/4096] = true
		}
	}
	if sites["table"] < 4 || len(pages) != 2 {
		t.Fatalf("table has %d sites, want 4 at least; edge lies on %d pages, want 2", sites["table"], len(pages))
	}
}

// TestValueAlone changes one value without the function, by a patch that has no code. The threads that call the function
// see values that do not belong together, so they would have seen it elsewhere, too.
func TestValueAlone(t *testing.T) {
	v := startVictim(t, "setting-pie", "-t", "2", "-m", "spin")
	patchValues(t, "apply", "limit.lp", v.pid, ": 1 value, 3 threads, ")
	v.wantValue(1001)
	waitFor(t, "a thread to see the new value with the old function", func() bool {
		_, wrong, _ := v.stats()
		return wrong > 0
	})
	if !strings.Contains(maps(t, v.pid), "limit.lp") {
		t.Fatalf("the patch is not in\n%s", maps(t, v.pid))
	}
	patchValues(t, "restore", "limit.lp", v.pid, ": 1 value, 3 threads, ")
	v.wantValue(1)
	patchValues(t, "unload", "limit.lp", v.pid, "")
}

// TestValueWasChanged applies a patch of a value that the program has changed since it started, and restores one that it
// has changed since: neither is done, and nothing is half done.
func TestValueWasChanged(t *testing.T) {
	v := startVictim(t, "setting-pie", "-t", "2", "-m", "spin")
	at := variable(t, v, "limit")
	refused := func(verb string) {
		t.Helper()
		wantSaid(t, 2, fmt.Sprintf("refused: setting-pie[%d]: limit of setting-pie has other bytes than the patch expects: "+
			"the program has changed this variable, and what it wrote would be lost", v.pid),
			verb, fixtures+"setting-pie.lp", "--pid", fmt.Sprint(v.pid), "--timeout", "60s", "--max-stop", "2s")
	}
	poke(t, v.pid, at, []byte{9})
	refused("apply")
	if strings.Contains(maps(t, v.pid), ".lp") {
		t.Fatal("a refused apply left the patch mapped")
	}
	v.wantValue(1001) // the function is the old one, and so are the other values
	poke(t, v.pid, at, []byte{1})
	v.wantValue(1)
	patchValues(t, "apply", "setting-pie.lp", v.pid, "")
	v.wantValue(2)
	poke(t, v.pid, at, []byte{9})
	v.wantValue(1002)
	refused("restore")
	v.wantValue(1002)
	poke(t, v.pid, at, []byte{2})
	patchValues(t, "restore", "setting-pie.lp", v.pid, "")
	v.wantValue(1)
	patchValues(t, "unload", "setting-pie.lp", v.pid, "")
}

// variable is where a variable of the victim, which is a PIE, is in its memory.
func variable(t *testing.T, v *victim, name string) int64 {
	t.Helper()
	return int64(imageBase(t, v.pid, v.path) + lookUp(t, v.path, name).Value)
}

// TestValuesFork has children of before and after the patch: each has the values of its function, and can be rid of them
// on its own.
func TestValuesFork(t *testing.T) {
	v := startVictim(t, "setting-life")
	c := dial(t)
	before := v.fork("fork")
	patchValues(t, "apply", "setting-life.lp", v.pid, ": 1 function, 6 values, ")
	after := v.fork("fork")
	wantStates(t, c, map[int]lpnl.State{v.pid: lpnl.StateApplied, after: lpnl.StateApplied})
	v.wantChild(before, 1)
	v.wantChild(after, 2)
	patchValues(t, "restore", "setting-life.lp", after, ": 1 function, 6 values, ")
	v.wantChild(after, 1)
	v.wantValue(2)
	patchValues(t, "unload", "setting-life.lp", after, "")
	patchValues(t, "apply", "setting-life.lp", before, ": 1 function, 6 values, ")
	v.wantChild(before, 2)
	for _, pid := range []int{before, v.pid} {
		patchValues(t, "restore", "setting-life.lp", pid, "")
		patchValues(t, "unload", "setting-life.lp", pid, "")
	}
	v.wantChild(before, 1)
	v.wantValue(1)
	wantNoTargets(t, c)
}

// TestValueFileUntouched looks whether the file keeps its bytes: its pages of data are private, too.
func TestValueFileUntouched(t *testing.T) {
	v, other := startVictim(t, "setting-shared"), startVictim(t, "setting-shared")
	path := filepath.Join(fixtures, "libsetting.so")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	patchValues(t, "apply", "libsetting.so.lp", v.pid, "")
	v.wantValue(2)
	other.wantValue(1)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Fatalf("the file has changed (%v)", err)
	}
	patchValues(t, "restore", "libsetting.so.lp", v.pid, "")
	patchValues(t, "unload", "libsetting.so.lp", v.pid, "")
}
