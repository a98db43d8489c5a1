// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// TestScanLive: what was replaced below processes that are patched, and what of it the patches change.
func TestScanLive(t *testing.T) {
	f := newFleet(t, 6)
	a := f.patch("a", false)
	mitigation, err := applytest.Mitigation("m", f.prog)
	if err != nil {
		t.Fatal(err)
	}
	m := f.file(mitigation)
	path := f.build(filepath.Join(t.TempDir(), "prog"), otherID)
	for _, pid := range f.pids {
		f.put(pid, "root", "->/")
	}
	for _, pid := range f.pids[:5] {
		f.put(pid, "exe", "->"+path+" (deleted)")
	}
	f.apply(lpnl.VerbApply, a, f.pids[0], f.pids[1], f.pids[2], f.pids[5])
	f.apply(lpnl.VerbApply, m, f.pids[3])
	f.has[f.pids[2]][0].ActiveThreads = 1
	gone := filepath.Join(t.TempDir(), "lib")
	for i, pid := range f.pids {
		if i < 5 { // the last one has all in place
			f.maps(pid, path, f.prog, true)
		}
	}
	maps := filepath.Join(f.root, strconv.Itoa(f.pids[5]), "maps") // but for the patch itself
	text, err := os.ReadFile(maps)
	if err == nil {
		err = os.WriteFile(maps, []byte(strings.ReplaceAll(string(text), f.files["a"]+"\n", f.files["a"]+" (deleted)\n")), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.put(f.pids[5], "exe", "->"+f.prog)
	f.append(f.pids[1], "9000-a000 r-xp 00000000 fe:01 7 "+gone+" (deleted)\n", f.build(gone, slices.Repeat([]byte{7}, 20)))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	now, err := proc.FileAt(path)
	if err != nil {
		t.Fatal(err)
	}
	status, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	abouts := NewAbouts(proc.New(f.root))
	abouts.Learn(status)
	s, err := f.session().Scan(WithApplied(nil, status, abouts), Selection{}, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range s.Live {
		line := fmt.Sprint(slices.Index(f.pids, l.Process.PID), " ", l.Exe == path, l.Service == path)
		for _, r := range l.Replaced {
			line += fmt.Sprint(" ", filepath.Base(r.Path), " ", now.IsFile(r.Now))
			for _, p := range r.Patches {
				line += " " + p.Name
			}
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{"0 true true prog true a", "1 true true prog true a lib false", "2 true true prog true", "3 true true prog true", "5 false false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// append adds a line to what a process maps, at 9000-a000, and a file for it.
func (f *fleet) append(pid int, line, file string) {
	f.tb.Helper()
	dir := filepath.Join(f.root, strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(dir, "maps"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "maps"), append(text, line...), 0o644)
	}
	if err == nil {
		err = os.Symlink(file, filepath.Join(dir, "map_files/9000-a000"))
	}
	if err != nil {
		f.tb.Fatal(err)
	}
}
