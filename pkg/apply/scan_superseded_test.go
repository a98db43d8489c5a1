// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"encoding/hex"
	"path/filepath"
	"testing"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
)

// TestScanSuperseded: what another patch takes the place of is not asked for.
func TestScanSuperseded(t *testing.T) {
	f := newFleet(t, 3)
	old, newer, sum := f.patch("old", false), f.patch("new", false), f.patch("sum", false)
	newer.File.Spec.About = &patch.About{Supersedes: []string{"old"}}
	sum.File.Spec.About = &patch.About{Supersedes: []string{"sha256:" + hex.EncodeToString(old.File.sum[:])}}
	for _, p := range []*PatchRef{&newer, &sum} {
		if err := applytest.Write(f.files[p.Name], p.File.Spec); err != nil {
			t.Fatal(err)
		}
		var err error
		if p.File, err = Open(f.files[p.Name]); err != nil {
			t.Fatal(err)
		}
		defer p.File.Close()
	}
	f.apply(lpnl.VerbApply, old, f.pids[0])
	f.apply(lpnl.VerbApply, newer, f.pids[1])
	s, err := f.session().Scan(f.scanned("old", "new"), Selection{}, false)
	wantFound(t, f, s, err, "0 patchable new:", "1 patched new:", "2 patchable new:")
	s, err = f.session().Scan(f.scanned("old"), Selection{}, false)
	wantFound(t, f, s, err, "0 patched old:", "1 patched old: by new, which supersedes it", "2 patchable old:")
	s, err = f.session().Scan(f.scanned("old", "sum"), Selection{PIDs: f.pids[2:]}, false)
	wantFound(t, f, s, err, "2 patchable sum:")
}

// superseding makes a patch that says to take the place of others.
func (f *fleet) superseding(name string, others ...string) PatchRef {
	f.tb.Helper()
	spec := f.spec(name, false)
	spec.About = &patch.About{Supersedes: others}
	return f.file(spec)
}

// TestScanSupersedes: by sum, of more than the newer one does, in a circle, and a mitigation beside the fix.
func TestScanSupersedes(t *testing.T) {
	f := newFleet(t, 2)
	old := f.patch("old", true)
	f.superseding("sum", "sha256:"+hex.EncodeToString(old.File.sum[:]))
	f.superseding("x", "y")
	f.superseding("y", "z")
	f.superseding("z", "x")
	mitigation, err := applytest.Mitigation("m", f.prog)
	if err != nil {
		t.Fatal(err)
	}
	m, fix := f.file(mitigation), f.patch("fix", true)
	more := f.spec("more", false)
	other := more.Functions[0]
	other.Symbol, other.Bodies = "other", []patch.Range{{Start: other.Bodies[0].End, End: other.Bodies[0].End + 16}}
	more.Functions = append(more.Functions, other)
	f.file(more)
	half := f.superseding("half", "more")

	f.apply(lpnl.VerbApply, old, f.pids[0])
	s, err := f.session().Scan(f.scanned("sum"), Selection{PIDs: f.pids[:1]}, false)
	wantFound(t, f, s, err, "0 patchable sum:") // and not refused beside it
	f.apply(Revert, old, f.pids[0])

	s, err = f.session().Scan(f.scanned("x", "y", "z"), Selection{PIDs: f.pids[:1]}, false)
	wantFound(t, f, s, err, "0 patchable x:", "0 patchable y:", "0 patchable z:")

	const lacks = "patch half supersedes it and does not replace all that it does; build one patch of all the fixes"
	s, err = f.session().Scan(f.scanned("more", "half"), Selection{PIDs: f.pids[:1]}, false)
	wantFound(t, f, s, err, "0 not patchable more: "+lacks, "0 patchable half:")
	f.apply(lpnl.VerbApply, half, f.pids[0])
	s, err = f.session().Scan(f.scanned("more"), Selection{PIDs: f.pids[:1]}, false)
	wantFound(t, f, s, err, "0 not patchable more: "+lacks)
	f.apply(Revert, half, f.pids[0])

	f.apply(lpnl.VerbApply, m, f.pids[1])
	s, err = f.session().Scan(f.scanned("fix", "m"), Selection{PIDs: f.pids[1:]}, false)
	wantFound(t, f, s, err, "1 patchable fix:")
	f.apply(lpnl.VerbApply, fix, f.pids[1])
	s, err = f.session().Scan(f.scanned("fix", "m"), Selection{PIDs: f.pids[1:]}, false)
	wantFound(t, f, s, err, "1 patched fix:")
	s, err = f.session().Scan(f.scanned("m"), Selection{PIDs: f.pids[1:]}, false)
	wantFound(t, f, s, err, "1 patched m: by fix, which supersedes it")
}

// TestScanDisplaced: of patches in whose place others are, it is told what those are; and of those that processes have, without a file.
func TestScanDisplaced(t *testing.T) {
	f := newFleet(t, 2)
	old := f.spec("old", false)
	old.About = &patch.About{CVEs: []string{"CVE-2026-0001"}}
	f.file(old)
	newer := f.superseding("new", "old")
	f.apply(lpnl.VerbApply, newer, f.pids[0])
	f.has[f.pids[0]][0].ActiveThreads = 3
	abouts := NewAbouts(proc.New(f.root))
	status, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	abouts.Learn(status)
	patches := WithApplied(f.scanned("old"), status, abouts)
	if again := WithApplied(patches, status, abouts); len(patches) != 2 || len(again) != 2 {
		t.Fatalf("%d patches, then %d", len(patches), len(again))
	}
	s, err := f.session().Scan(patches, Selection{}, true)
	wantFound(t, f, s, err, "0 patched new:", "1 patchable new:")
	wantFound(t, f, &Scan{Findings: s.Displaced}, err, "0 patched old: by new, which supersedes it", "1 not patchable old: the kernel requires patches to be signed, and this one is not; see signed-patches.md")
	for _, x := range s.Displaced {
		if patched := x.Process.PID == f.pids[0]; patched != (x.By != nil && x.By.Name == "new" && x.Active == 3) || x.Service == "" {
			t.Errorf("%+v", x)
		}
	}
	f.maps(f.pids[1], "/bin/prog", f.build(filepath.Join(t.TempDir(), "prog"), otherID), false)
	s, err = f.session().Scan(patches, Selection{PIDs: f.pids[1:]}, false)
	if err != nil || len(s.Findings) != 2 || !s.Findings[0].Other || !s.Findings[1].Other {
		t.Errorf("%+v, %v", s, err)
	}
}
