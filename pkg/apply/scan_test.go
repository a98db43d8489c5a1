// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/bake"
	"lpatch/pkg/boot"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/filetest"
)

// build makes a copy of the fleet's program with another build-id, at a path below a directory.
func (f *fleet) build(path string, id []byte) string {
	f.tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.tb.Fatal(err)
	}
	file, err := lpelf.Open(f.prog)
	if err != nil {
		f.tb.Fatal(err)
	}
	data := strings.Replace(string(file.Data), string(file.BuildID()), string(id[:len(file.BuildID())]), 1)
	if err := os.WriteFile(path, []byte(data), 0o755); err != nil {
		f.tb.Fatal(err)
	}
	return path
}

// maps has a process map a file at a path, in place of the program: the file that is there under another path may be another one by now.
func (f *fleet) maps(pid int, path, file string, deleted bool) {
	f.tb.Helper()
	dir := filepath.Join(f.root, strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(dir, "maps"))
	if err != nil {
		f.tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	if deleted {
		path += " (deleted)"
	}
	link := filepath.Join(dir, "map_files/1000-2000")
	err = os.WriteFile(filepath.Join(dir, "maps"), []byte("1000-2000 r-xp 00000000 fe:01 1 "+path+"\n"+rest), 0o644)
	if err == nil {
		err = os.Remove(link)
	}
	if err == nil {
		err = os.Symlink(file, link)
	}
	if err != nil {
		f.tb.Fatal(err)
	}
}

// put writes a file, or a link to one if it begins with "->", of a process in /proc.
func (f *fleet) put(pid int, name, text string) {
	f.tb.Helper()
	path := filepath.Join(f.root, strconv.Itoa(pid), name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if to, link := strings.CutPrefix(text, "->"); link && err == nil {
		err = os.Symlink(to, path)
	} else if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		f.tb.Fatal(err)
	}
}

// scanned opens patches again for a scan.
func (f *fleet) scanned(names ...string) (list []*ScanPatch) {
	f.tb.Helper()
	for _, name := range names {
		more, bad := OpenPatches(boot.Registry{Root: f.tb.TempDir(), Owner: os.Getuid()}, []string{f.files[name]})
		if len(bad) != 0 {
			f.tb.Fatal(bad)
		}
		list = append(list, more...)
	}
	return list
}

func (f *fleet) apply(verb Verb, p PatchRef, pids ...int) {
	f.tb.Helper()
	r, err := f.session().RunSelected(verb, p, Selection{PIDs: pids}, lpnl.Options{})
	if err != nil || len(r.Outcomes) != len(pids) || r.Outcomes[0].Err != nil {
		f.tb.Fatalf("%+v %v", r, err)
	}
}

// found has a line for each finding: the index of the process, the state, patch, and why.
func (f *fleet) found(s *Scan) (lines []string) {
	for i := range s.Findings {
		x := &s.Findings[i]
		why := strings.ReplaceAll(strings.TrimSpace(x.Why+" "+x.OnDisk), f.tb.TempDir(), "TMP")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %s %s: %s", slices.Index(f.pids, x.Process.PID), x.State, x.Patch.Name, why)))
	}
	slices.Sort(lines)
	return lines
}

func wantFound(t *testing.T, f *fleet, s *Scan, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, f.found(s)); diff != "" {
		t.Error(diff)
	}
}

var otherID = slices.Repeat([]byte{0xab}, 20)

// TestScan has processes in each state.
func TestScan(t *testing.T) {
	f := newFleet(t, 9)
	a := f.patch("a", false)
	f.apply(lpnl.VerbApply, a, f.pids[0], f.pids[1], f.pids[8])
	f.apply(lpnl.VerbRestore, a, f.pids[1])
	f.has[f.pids[8]][0].ActiveThreads = 2
	f.put(f.pids[0], "cgroup", "0::/system.slice/x.service/sub\n")
	f.put(f.pids[1], "cgroup", "0::/user.slice\n")
	f.put(f.pids[1], "exe", "->"+f.prog+" (deleted)")
	container := t.TempDir()
	newer, gone, served := filepath.Join(container, "opt/newer"), filepath.Join(container, "opt/gone"), filepath.Join(container, "opt/served")
	f.build(newer, otherID)
	for _, i := range []int{3, 4, 5} {
		f.put(f.pids[i], "root", "->"+container)
		f.put(f.pids[i], "ns/mnt", "->mnt:[1]")
	}
	f.maps(f.pids[3], "/opt/newer", f.prog, true)                                                       // replaced by another build
	f.maps(f.pids[4], strings.TrimPrefix(gone, container), f.prog, true)                                // deleted
	f.maps(f.pids[5], strings.TrimPrefix(served, container), f.prog, true)                              // replaced by what cannot be read
	f.maps(f.pids[6], "/bin/prog", f.build(filepath.Join(t.TempDir(), "prog"), otherID), false)         // another build
	f.maps(f.pids[7], "/bin/prog", f.build(filepath.Join(t.TempDir(), "prog"), f.baked(a.File)), false) // baked
	filetest.Lease(t, f.build(served, otherID))
	f.maps(f.pids[2], "/other/name", "/bin/true", false)

	f.asked = map[string]int{}
	s, err := f.session().Scan(f.scanned("a"), Selection{}, false)
	id := "build-id " + hex.EncodeToString(otherID)
	wantFound(t, f, s, err, "0 patched a:", "1 patchable a: the patch is restored, not applied", "3 old in memory a: the file was replaced; restart it, or patch it "+id,
		"4 patchable a:", "5 patchable a:", "6 unknown build a: no patch is for its "+id, "7 patched a: the patch was put into the file", "8 patched a:")
	if s.Processes != 9 || s.Need() != 4 || s.Patched() != 3 || s.Active() != 1 || s.Files != 4 || s.Others != 3 || len(s.Unseen) != 0 {
		t.Errorf("%+v, need %d, patched %d, active %d", s, s.Need(), s.Patched(), s.Active())
	}
	if f.asked["status"] != 2 || f.asked["op"] != 0 {
		t.Errorf("asked %v, want 2 looks", f.asked)
	}
	services := map[string]string{}
	for _, row := range s.ByService() {
		services[row.Service] += fmt.Sprintf(" %s %d", row.State, len(row.Processes))
	}
	want := map[string]string{"x.service": " patched 1", f.prog: " patchable 1",
		"[p]": " patchable 1 patchable 1 old in memory 1 unknown build 1 patched 1 patched 1"}
	if diff := cmp.Diff(want, services); diff != "" {
		t.Error(diff)
	}

	// Without the module nothing is patched, and nobody is asked.
	s, err = New(nil, proc.New(f.root)).Scan(f.scanned("a"), Selection{PIDs: []int{f.pids[0], 1 << 30}}, false)
	wantFound(t, f, s, err, "0 patchable a:")
	if len(s.Failed) != 1 || s.Processes != 1 {
		t.Errorf("%+v", s)
	}
	s, err = f.session().Scan(f.scanned("a"), Selection{PIDs: f.pids[:2]}, true)
	wantFound(t, f, s, err, "0 patched a:", "1 not patchable a: the kernel requires patches to be signed, and this one is not; see signed-patches.md")
}

// baked is the build-id of the program with a patch in it.
func (f *fleet) baked(p *PatchFile) []byte { return bake.BuildID(p.Spec.Images[0].BuildID, p.sum) }

// TestScanProof: that something is mapped which looks like the patch proves nothing, nor what the kernel had before the process was
// looked at and has no more.
func TestScanProof(t *testing.T) {
	f := newFleet(t, 2)
	a := f.patch("a", false)
	f.apply(lpnl.VerbApply, a, f.pids...)
	kept := f.has[f.pids[1]]
	f.has[f.pids[1]] = nil // it has executed the program again, and maps the patch itself
	s, err := f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 patched a:", "1 patchable a:")

	f.has[f.pids[1]] = kept
	f.looked = func() { f.has[f.pids[1]] = nil }
	s, err = f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 patched a:", "1 patchable a:")

	f.has[f.pids[1]] = kept
	var flip func()
	flip = func() {
		f.has[f.pids[1]] = slices.Clone(kept)
		f.has[f.pids[1]][0].Since = f.has[f.pids[1]][0].Since.Add(1)
		kept, f.looked = f.has[f.pids[1]], flip
	}
	f.looked = flip
	s, err = f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 patched a:")
	if len(s.Unseen) != 1 || s.Unseen[0].Error() != fmt.Sprintf("p[%d]: its patches change faster than it can be looked at; try again when it is at rest", f.pids[1]) {
		t.Errorf("%v", s.Unseen)
	}

	// Another process has the pid by now.
	f.looked = func() {
		f.put(f.pids[1], "stat", fmt.Sprintf("%d (q) S 1 2 3 4 5 0 7 8 9 10 11 12 13 14 15 16 1 0 5 23 24\n", f.pids[1]))
	}
	s, err = f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 patched a:")
	if s.Processes != 1 || len(s.Unseen) != 0 {
		t.Errorf("%d processes, %v", s.Processes, s.Unseen)
	}
}

// TestScanObstacles: patches that do not go with what is applied, or lack something.
func TestScanObstacles(t *testing.T) {
	f := newFleet(t, 4)
	a := f.patch("a", false)
	f.patch("on", true, a)
	f.patch("clash", true)
	lib := f.patch("lib", false)
	lib.File.Spec.Images = append(lib.File.Spec.Images, patch.Image{Name: "libx.so", Soname: "libx.so.1", BuildID: otherID, SHA256: make([]byte, 32),
		TextSize: 0x1000, SpanEnd: 0x1000})
	if err := applytest.Write(f.files["lib"], lib.File.Spec); err != nil {
		t.Fatal(err)
	}
	f.apply(lpnl.VerbApply, a, f.pids[0])
	f.apply(lpnl.VerbLoad, a, f.pids[1])
	f.has[f.pids[1]][0].State, f.has[f.pids[1]][0].Refusal = lpnl.StateDrifted, lpnl.RefusalPatchMissing
	f.apply(lpnl.VerbLoad, a, f.pids[2])
	f.has[f.pids[2]][0].State, f.has[f.pids[2]][0].Refusal = lpnl.StateDrifted, lpnl.RefusalBytesDiffer
	s, err := f.session().Scan(f.scanned("a", "on", "clash", "lib"), Selection{}, false)
	const clash = "patch clash was built for main as it is in the file, patch a replaces that function, and that is applied; build one patch of both fixes, or apply this one with --replace"
	lacks := "it does not map libx.so.1 (build-id " + hex.EncodeToString(otherID) + "), which the patch refers to"
	wantFound(t, f, s, err,
		"0 not patchable clash: "+clash, "0 not patchable lib: "+lacks, "0 patchable on:", "0 patched a:",
		"1 not patchable a: the program has unmapped what the patch needs; lpctl restore and lpctl unload clean up", "1 not patchable clash: "+clash, "1 not patchable lib: "+lacks, "1 patchable on:",
		"2 not patchable clash: "+clash, "2 not patchable lib: "+lacks, "2 patchable a: the program has changed what the patch did to it", "2 patchable on:",
		"3 not patchable lib: "+lacks, "3 patchable a:", "3 patchable clash:", "3 patchable on: apply a first")
	s, err = f.session().Scan(f.scanned("on"), Selection{PIDs: f.pids[3:]}, false)
	wantFound(t, f, s, err, fmt.Sprintf("3 not patchable on: it is built upon patch a (build-id %x), which is not applied, nor among the patches here", a.File.buildID))
}

// TestOpenPatchesRivals: two patches of one name for one file.
func TestOpenPatchesRivals(t *testing.T) {
	f := newFleet(t, 0)
	f.patch("a", false)
	first := f.files["a"]
	f.patch("a", true)
	list, bad := OpenPatches(boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}, []string{first, f.files["a"]})
	want := fmt.Sprintf("%s and %s are two patches named a for one file, prog; give one of them", first, f.files["a"])
	if len(list) != 0 || len(bad) != 1 || bad[0].Error() != want {
		t.Errorf("got  %v %v\nwant %s", list, bad, want)
	}
}

// TestRemedies: who says to fix a CVE, and where it is applied.
func TestRemedies(t *testing.T) {
	f := newFleet(t, 4)
	for _, name := range []string{"a", "b", "c"} {
		p := f.patch(name, false)
		if name != "c" {
			p.File.Spec.About = &patch.About{CVEs: []string{"CVE-2026-1111", "CVE-2026-222" + map[string]string{"a": "1", "b": "2"}[name]}}
		}
		if err := applytest.Write(f.files[name], p.File.Spec); err != nil {
			t.Fatal(err)
		}
		file, err := Open(f.files[name])
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f.apply(lpnl.VerbApply, PatchRef{File: file, Name: name}, map[string][]int{"a": f.pids[:2], "b": f.pids[1:], "c": f.pids}[name]...)
	}
	f.apply(lpnl.VerbRestore, PatchRef{Name: "b"}, f.pids[3])
	for cve, want := range map[string]string{"CVE-2026-1111": "[a 2 b 2]", "CVE-2026-2222": "[b 2]", "CVE-2026-3333": "[]"} {
		list, err := f.session().Remedies(cve, f.scanned("a"))
		got := []string{}
		for _, r := range list {
			got = append(got, r.Name, fmt.Sprint(r.Processes))
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", cve, got, err, want)
		}
	}
	if list, err := New(nil, proc.New(f.root)).Remedies("CVE-2026-1111", f.scanned("b")); err != nil || len(list) != 1 || list[0].Name != "b" || list[0].Processes != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestScanReplaced: of a file that was replaced by one that has the same hole, and of one for which no patch is.
func TestScanReplaced(t *testing.T) {
	f := newFleet(t, 3)
	f.patch("a", false)
	b := f.patch("b", false)
	b.File.Spec.Images[0].BuildID = otherID
	if err := applytest.Write(f.files["b"], b.File.Spec); err != nil {
		t.Fatal(err)
	}
	path := f.build(filepath.Join(t.TempDir(), "prog"), otherID)
	oldest := f.build(filepath.Join(t.TempDir(), "prog"), slices.Repeat([]byte{1}, 20))
	f.put(f.pids[0], "root", "->/")
	f.put(f.pids[1], "root", "->/")
	f.maps(f.pids[0], path, f.prog, true)
	f.maps(f.pids[1], path, oldest, true)
	f.put(f.pids[2], "root", "->/")
	f.maps(f.pids[2], path, f.prog, false) // is there, under what has been mounted since
	s, err := f.session().Scan(f.scanned("a", "b"), Selection{}, false)
	id := "build-id " + hex.EncodeToString(otherID)
	wantFound(t, f, s, err, "0 patchable a: the file was replaced by one that has the same to be patched: b "+id,
		"1 old in memory a: the file was replaced, and no patch is for the one in memory; restart it "+id, "1 old in memory b: the file was replaced, and no patch is for the one in memory; restart it "+id, "2 patchable a:")
	if s.Need() != 3 {
		t.Errorf("%d need something", s.Need())
	}
}

// TestScanUnseen: a process that maps what cannot be read, and one that ends.
func TestScanUnseen(t *testing.T) {
	f := newFleet(t, 3)
	f.patch("a", false)
	leased := f.build(filepath.Join(t.TempDir(), "leased"), otherID)
	f.maps(f.pids[1], "/x/leased", leased, false)
	filetest.Lease(t, leased)
	if err := os.RemoveAll(filepath.Join(f.root, strconv.Itoa(f.pids[2]))); err != nil {
		t.Fatal(err)
	}
	f.put(f.pids[2], "status", "Name:\tp\n")
	s, err := f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 patchable a:")
	if s.Processes != 2 || len(s.Unseen) != 2 || !strings.Contains(fmt.Sprint(s.Unseen), "cannot open /x/leased as process "+strconv.Itoa(f.pids[1])) {
		t.Errorf("%d processes, %v", s.Processes, s.Unseen)
	}
}

// TestOpenPatches takes patches of directories, files and boot entries.
func TestOpenPatches(t *testing.T) {
	f := newFleet(t, 0)
	dir, empty := t.TempDir(), t.TempDir()
	r := boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}
	for _, name := range []string{"a", "b", "c"} {
		f.patch(name, name == "b")
		data, err := os.ReadFile(f.files[name])
		if err != nil {
			t.Fatal(err)
		}
		if name == "c" { // an older one that is kept
			f.patch("c", true)
		}
		e := &boot.Entry{Name: name, Images: []boot.Image{{Path: "/bin/sleep", Identity: "build-id 00"}}, OnFailure: boot.Run, Boots: boot.DefaultBoots}
		if err := r.Add(e, data); err != nil {
			t.Fatal(err)
		}
		if name != "a" {
			if err := os.Link(f.files[name], filepath.Join(dir, name+".lp")); err != nil {
				t.Fatal(err)
			}
		}
	}
	filetest.Tree(t, dir, map[string]string{"bad.lp": "x", "readme": "y", "d.lp/e.lp": "z"})
	list, bad := OpenPatches(r, []string{dir, f.files["b"], empty, filepath.Join(dir, "none.lp"), "/dev/null"})
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprint(p.Spec.Name, len(p.Spec.Relies)))
	}
	if diff := cmp.Diff([]string{"b1", "c1", "a0"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{
		dir + "/bad.lp: not a valid patch file: ", empty + " has no patch in it, no file NAME.lp; name a directory that has, or a file",
		"stat " + dir + "/none.lp: no such file or directory", "/dev/null is no regular file; name a patch file, or a directory of them",
	}
	if len(bad) != len(want) {
		t.Fatalf("%v", bad)
	}
	for i, err := range bad {
		if !strings.HasPrefix(err.Error(), want[i]) {
			t.Errorf("got  %v\nwant %s", err, want[i])
		}
	}
}

// TestScanTwice: one file is patched, and another one of the same build is executed, too.
func TestScanTwice(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(lpnl.VerbApply, f.patch("a", false), f.pids[0])
	copied := filepath.Join(t.TempDir(), "copy")
	data, err := os.ReadFile(f.prog)
	if err == nil {
		err = os.WriteFile(copied, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.append(f.pids[0], "9000-a000 r-xp 00000000 fe:01 7 "+copied+"\n", copied)
	s, err := f.session().Scan(f.scanned("a"), Selection{}, false)
	wantFound(t, f, s, err, "0 not patchable a: it maps another file of the same build, too, and a patch is for one of them; restart it")
}
