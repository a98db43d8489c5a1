// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"testing"

	"lpatch/pkg/lpnl"
)

// fieldPatch sets all bytes of the variable field of copies, in as many sites as a patch may have.
func fieldPatch(t *testing.T, path string) *lpnl.Patch {
	t.Helper()
	field := lookUp(t, path, "field")
	p := rawPatch(t, path, "main")
	p.Sites, p.Functions = nil, nil
	for at := uint64(0); at < field.Size; at += lpnl.SiteMax {
		site := lpnl.Site{Kind: lpnl.SiteKindBytes, Symbol: "field", Vaddr: field.Value + at,
			Old: make([]byte, lpnl.SiteMax), New: make([]byte, lpnl.SiteMax)}
		for i := range site.New {
			site.New[i] = 1
		}
		p.Sites = append(p.Sites, site)
	}
	if len(p.Sites) != lpnl.SitesMax {
		t.Fatalf("field has %d sites, want %d", len(p.Sites), lpnl.SitesMax)
	}
	return p
}

// TestForkWhileWriting forks from four threads while a variable of 64 KiB is written, again and again: a fork that is
// under way in the kernel copies what was there before the window or after it, never a part of both.
//
//machine:preempts
func TestForkWhileWriting(t *testing.T) {
	v := startVictim(t, "copies")
	c := dial(t)
	p := fieldPatch(t, v.path)
	transfer(t, c, p)
	stats := func() (forks, mixed int) {
		line := v.ask("stats")
		if _, err := fmt.Sscanf(line, "stats forks %d mixed %d", &forks, &mixed); err != nil {
			t.Fatalf("the program says %q: %v", line, err)
		}
		return forks, mixed
	}
	for range 40 {
		do(t, c, lpnl.VerbApply, p, v.pid)
		do(t, c, lpnl.VerbRestore, p, v.pid)
	}
	forks, mixed := stats()
	if mixed != 0 {
		t.Fatalf("%d of %d children saw a variable that was half written", mixed, forks)
	}
	if forks < 40 {
		t.Fatalf("there were only %d forks meanwhile", forks)
	}
	t.Logf("%d forks", forks)
}
