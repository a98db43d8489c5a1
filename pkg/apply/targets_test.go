// SPDX-License-Identifier: GPL-2.0

package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/testutil/lpnltest"
)

// madeUp is a /proc with processes of the unit app.service and of others, of which some map what the patch fix changes: a
// copy of sleep that is named prog.
type madeUp struct {
	root, prog string
	fix        apply.PatchRef
}

// process adds one: with its control group, its program, and files that it maps executable. To go by what its maps say, all that
// processes map first is the same file, and all that comes next.
func (m *madeUp) process(t *testing.T, pid int, group, exe string, mapped ...string) {
	t.Helper()
	dir := fmt.Sprint(pid) + "/"
	links, maps := map[string]string{"exe": exe}, ""
	for i, path := range mapped {
		links[fmt.Sprintf("map_files/%d000-%d000", i+1, i+2)] = path
		maps += fmt.Sprintf("%d000-%d000 r-xp 00000000 fe:01 %d %s\n", i+1, i+2, i+1, path)
	}
	filetest.Tree(t, m.root, map[string]string{
		dir + "status": fmt.Sprintf("Name:\tp\nTgid:\t%d\n", pid),
		dir + "stat":   fmt.Sprintf("%d (p) S 1 2 3 4 5 0 7 8 9 10 11 12 13 14 15 16 1 0 %d 23 24\n", pid, pid),
		dir + "cgroup": "0::" + group + "\n",
		dir + "maps":   maps,
	})
	if err := os.Mkdir(filepath.Join(m.root, dir, "map_files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range links {
		if err := os.Symlink(to, filepath.Join(m.root, dir, link)); err != nil {
			t.Fatal(err)
		}
	}
}

func newMadeUp(t *testing.T) *madeUp {
	t.Helper()
	m := &madeUp{root: t.TempDir()}
	m.prog = filepath.Join(t.TempDir(), "prog")
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "prog")
	for path, content := range map[string][]byte{m.prog: data, older: nil} {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := spec(t)
	s.Images[0].Name, s.Images[0].Soname = "prog", ""
	// It refers to a library that no process maps, and changes nothing there.
	s.Images = append(s.Images, patch.Image{Name: "libx.so", BuildID: patch.Hex{1}, SHA256: s.Images[0].SHA256, SpanEnd: s.Images[0].SpanEnd,
		TextSize: s.Images[0].TextSize, TextOffset: s.Images[0].TextOffset, TextVaddr: s.Images[0].TextVaddr})
	m.fix = write(t, s)
	const unit = "/system.slice/app.service"
	m.process(t, 11, unit, m.prog, m.prog)
	m.process(t, 12, unit, "/bin/true", "/bin/true") // such as lpctl itself
	m.process(t, 13, unit, older, older)             // what cannot be read might be it
	m.process(t, 14, "/system.slice/other.service", "/bin/true", "/bin/true")
	m.process(t, 15, "/user.slice", m.prog, m.prog)
	m.process(t, 16, "/hidden", "/bin/true", "/bin/true")
	for _, name := range []string{"exe", "maps"} { // which nobody can look at
		hidden := filepath.Join(m.root, "16", name)
		if err := os.Remove(hidden); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, hidden); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// session has a kernel in which these processes have the patch fix.
func (m *madeUp) session(t *testing.T, pids ...int) *apply.Session {
	t.Helper()
	hash := strings.Repeat("00", lpnl.HashLen)
	k := &lpnltest.Kernel{Patches: map[string]*lpnltest.Patch{hash: {Name: "fix"}}}
	for _, pid := range pids {
		k.Records = append(k.Records, lpnltest.Record{Hash: hash, PID: pid, State: lpnl.StateApplied})
	}
	c, err := k.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return apply.New(c, proc.New(m.root))
}

// TestFind selects processes in all ways: those that the patch does not concern are left out, and what matches nobody is
// said, whatever else matches.
func TestFind(t *testing.T) {
	m := newMadeUp(t)
	const unknown = ", as far as can be seen; of 1 it is not known: process 16: "
	name := apply.PatchRef{Name: "fix"}
	buildID, _ := spec(t).Images[0].BuildID.MarshalText()
	none := fmt.Sprintf("maps prog (build-id %s), which the patch changes", buildID)
	for _, c := range []struct {
		verb   apply.Verb
		patch  apply.PatchRef
		sel    apply.Selection
		has    []int // have the patch
		want   []int
		misses []string
	}{
		{lpnl.VerbApply, m.fix, apply.Selection{Unit: []string{"app"}}, nil, []int{11, 13}, nil},
		{lpnl.VerbApply, m.fix, apply.Selection{Cgroup: []string{"/system.slice"}}, nil, []int{11, 13}, nil},
		{lpnl.VerbApply, m.fix, apply.Selection{Exe: []string{m.prog}}, nil, []int{11, 15}, nil},
		{lpnl.VerbApply, m.fix, apply.Selection{All: true}, nil, []int{11, 15}, nil},
		{lpnl.VerbApply, m.fix, apply.Selection{Unit: []string{"nosuch"}}, nil, nil, []string{"no process belongs to the unit nosuch"}},
		{lpnl.VerbApply, m.fix, apply.Selection{Cgroup: []string{"/no"}}, nil, nil, []string{"no process is in the control group /no"}},
		{lpnl.VerbApply, m.fix, apply.Selection{Unit: []string{"other"}}, nil, nil, []string{"no process that belongs to the unit other " + none}},
		{lpnl.VerbApply, m.fix, apply.Selection{Exe: []string{"/no"}}, nil, nil, []string{"there is no file /no"}},
		{lpnl.VerbApply, m.fix, apply.Selection{Exe: []string{"/bin/cat"}}, nil, nil, []string{"no process runs /bin/cat" + unknown}},
		{lpnl.VerbApply, m.fix, apply.Selection{Exe: []string{"/bin/true"}}, nil, nil, []string{"no process that runs /bin/true " + none + unknown}},
		// One that cannot be looked at is not said to map nothing.
		{lpnl.VerbApply, m.fix, apply.Selection{Cgroup: []string{"/hidden"}}, nil, []int{16}, nil},
		{lpnl.VerbApply, m.fix, apply.Selection{Unit: []string{"app", "nosuch"}, Exe: []string{"/no"}, PIDs: []int{14}}, nil,
			[]int{14, 11, 13}, []string{"there is no file /no", "no process belongs to the unit nosuch"}},
		{lpnl.VerbApply, name, apply.Selection{All: true}, nil, nil, []string{`no process has a patch "fix" loaded`}},
		{lpnl.VerbApply, name, apply.Selection{All: true}, []int{12}, []int{12}, nil},
		{lpnl.VerbApply, name, apply.Selection{Unit: []string{"app"}}, nil, nil, []string{`no process that belongs to the unit app has a patch "fix" loaded`}},
		{apply.Revert, name, apply.Selection{Unit: []string{"app"}}, nil, nil, []string{`no process that belongs to the unit app has a patch "fix" loaded`}},
		{apply.Revert, name, apply.Selection{Unit: []string{"app"}}, []int{15}, nil, []string{`settled: no process that belongs to the unit app has a patch "fix" loaded`}},
		{apply.Revert, name, apply.Selection{Unit: []string{"app"}}, []int{11}, []int{11}, nil},
		{lpnl.VerbRestore, name, apply.Selection{All: true}, nil, nil, []string{`no process has a patch "fix" loaded`}},
		// A process that has unmapped what was changed has the patch all the same.
		{apply.Revert, m.fix, apply.Selection{All: true}, []int{12}, []int{11, 15, 12}, nil},
		{apply.Revert, m.fix, apply.Selection{Unit: []string{"app"}}, []int{12}, []int{11, 12, 13}, nil},
	} {
		found, err := m.session(t, c.has...).Find(c.verb, c.sel, c.patch)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, p := range found.Targets {
			got = append(got, p.PID)
		}
		var misses []string
		for _, miss := range found.Misses {
			text := miss.Message
			if miss.Kind == apply.MissSettled {
				text = "settled: " + text
			}
			if i := strings.Index(text, unknown); i >= 0 {
				text = text[:i+len(unknown)]
			}
			misses = append(misses, text)
		}
		slices.Sort(misses)
		slices.Sort(c.misses)
		if diff := cmp.Diff(c.want, got) + cmp.Diff(c.misses, misses); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", c.verb, c.sel, diff)
		}
	}
}

// TestFindMayNot is about who may not patch, and so not look at others either: not told that there is nobody.
func TestFindMayNot(t *testing.T) {
	c, err := (&lpnltest.Kernel{Deny: &lpnltest.Denial{Errno: 1, Message: "no"}}).Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := newMadeUp(t)
	for _, sel := range []apply.Selection{{Unit: []string{"nosuch"}}, {Exe: []string{"/bin/cat"}}, {Cgroup: []string{"/no"}}, {All: true}} {
		if found, err := apply.New(c, proc.New(m.root)).Find(lpnl.VerbApply, sel, m.fix); err == nil {
			t.Errorf("%+v: %+v", sel, found)
		}
	}
}
