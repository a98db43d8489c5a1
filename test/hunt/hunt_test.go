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

// few are the pairs that are tried where nobody says for how long.
const few = 10

// TestHunt tries pairs from seed LPATCH_HUNT_SEED on for LPATCH_HUNT_TIME, and leaves what is wrong in build/hunt.
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
	for i := uint64(0); i < few && limit == 0 || time.Now().Before(end); i++ {
		seeds <- seed + i
	}
	close(seeds)
	workers.Wait()
	h.report(seed)
}

type hunter struct {
	t     *testing.T
	tools programs.Tools
	kept  string // directory of what is wrong
	mu    sync.Mutex
	count map[string]int // by outcome; under mu
}

func (h *hunter) try(seed uint64) {
	dir, err := os.MkdirTemp("", "lpatch-hunt-")
	if err != nil {
		h.t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	p := Make(seed)
	got, err := p.Try(h.tools, dir)
	if err != nil {
		h.t.Errorf("seed %d: %v", seed, err)
		return
	}
	h.mu.Lock()
	h.count[got.What]++
	h.mu.Unlock()
	if got.What != "wrong" {
		if got.Text != "" {
			h.t.Logf("seed %d: %s", seed, got.Text)
		}
		return
	}
	small := p.Shrink(func(q *Pair) bool {
		sub, err := os.MkdirTemp(dir, "shrink-")
		if err != nil {
			return false
		}
		defer os.RemoveAll(sub)
		o, err := q.Try(h.tools, sub)
		return err == nil && o.What == "wrong"
	})
	kept := filepath.Join(h.kept, strconv.FormatUint(seed, 10))
	if err := os.MkdirAll(kept, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := small.Save(kept); err != nil {
		h.t.Fatal(err)
	}
	h.t.Errorf("seed %d: %s; it is in %s", seed, got.Text, kept)
}

func (h *hunter) report(seed uint64) {
	all := 0
	for _, n := range h.count {
		all += n
	}
	var b strings.Builder
	for _, what := range slices.SortedFunc(maps.Keys(h.count), func(a, b string) int { return cmp.Compare(h.count[b], h.count[a]) }) {
		fmt.Fprintf(&b, "\n%6d  %4.1f %%  %s", h.count[what], 100*float64(h.count[what])/float64(all), what)
	}
	h.t.Logf("%d pairs from seed %d:%s", all, seed, b.String())
}
