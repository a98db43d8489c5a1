// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lpatch/test/patches/programs"
)

// few are the programs that are tried where nobody says for how long.
const few = 2

// TestHunt tries the pairs of programs from seed LPATCH_HUNT_SEED on for LPATCH_HUNT_TIME, and leaves what is wrong in build/hunt.
func TestHunt(t *testing.T) {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("LPATCH_HUNT_SEED"), "1"), 10, 63)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := time.ParseDuration(cmp.Or(os.Getenv("LPATCH_HUNT_TIME"), "0s"))
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	h := hunter{t: t, kept: filepath.Join(top, "build/hunt"), count: map[string]int{},
		tools: programs.Tools{Lpctl: filepath.Join(t.TempDir(), "lpctl"), Load: filepath.Join(top, "test/patches/load/testdata/lpload.c")}}
	if out, err := exec.Command("go", "build", "-o", h.tools.Lpctl, "lpatch/ctl/lpctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := h.tools.CompileLoad(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for s := range seeds {
				h.try(s)
			}
		})
	}
	end := time.Now().Add(limit)
	next := seed
	for ; next < seed+few && limit == 0 || time.Now().Before(end); next++ {
		seeds <- next
	}
	close(seeds)
	workers.Wait()
	h.report(seed, next-1)
}

type hunter struct {
	t     *testing.T
	tools programs.Tools
	kept  string // directory of what is wrong
	mu    sync.Mutex
	count map[string]int // by outcome; under mu
}

// memory is where files cost least.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		return "/dev/shm"
	}
	return ""
}

func (h *hunter) try(seed uint64) {
	dir, err := os.MkdirTemp(memory(), "lpatch-hunt-")
	if err != nil {
		h.t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	pairs := Make(seed)
	list, err := Try(pairs, h.tools, dir)
	if err != nil {
		h.t.Errorf("seed %d: %v", seed, err)
	}
	for i, got := range list {
		h.mu.Lock()
		h.count[got.What]++
		h.mu.Unlock()
		name := fmt.Sprintf("%d-%d", seed, i+1)
		switch {
		case got.What == "wrong":
			h.keep(pairs[i], name, dir)
			h.t.Errorf("pair %s: %s; it is in %s", name, got.Text, h.kept)
		case got.Text != "":
			h.t.Logf("pair %s: %s", name, got.Text)
		}
	}
}

// keep makes a wrong pair smaller, and keeps it.
func (h *hunter) keep(p *Pair, name, dir string) {
	small := p.Shrink(func(q *Pair) bool {
		sub, err := os.MkdirTemp(dir, "shrink-")
		if err != nil {
			return false
		}
		defer os.RemoveAll(sub)
		list, err := Try([]*Pair{q}, h.tools, sub)
		return err == nil && list[0].What == "wrong"
	})
	kept := filepath.Join(h.kept, name)
	if err := os.MkdirAll(kept, 0o755); err != nil {
		h.t.Error(err)
		return
	}
	if err := small.Save(kept); err != nil {
		h.t.Error(err)
	}
}

func (h *hunter) report(seed, end uint64) {
	all := 0
	for _, n := range h.count {
		all += n
	}
	var b strings.Builder
	for _, what := range slices.SortedFunc(maps.Keys(h.count), func(a, b string) int { return cmp.Compare(h.count[b], h.count[a]) }) {
		fmt.Fprintf(&b, "\n%6d  %4.1f %%  %s", h.count[what], 100*float64(h.count[what])/float64(all), what)
	}
	h.t.Logf("%d pairs from seeds %d to %d:%s", all, seed, end, b.String())
}
