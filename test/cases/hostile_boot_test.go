//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// TestHostileWedge has a process that maps a program keep its own mmap_lock while root makes a boot entry for that program, and
// removes it: neither waits, and everybody can fork meanwhile.
func TestHostileWedge(t *testing.T) {
	const path, limit = fixtures + "start-static", 2 * time.Second
	lendFUSE(t)
	parent := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, path, "value")
	transfer(t, c, p)
	_, end := attack(t, "wedge", mapping(t, path)[:2]...)

	adding := begin(func() error { return c.BootAdd(p.Hash, 0) })
	_ = adding(time.Second / 2)
	forking := begin(func() error {
		_, err := fmt.Fprintln(parent.in, "fork")
		if err == nil {
			_, err = parent.out.ReadString('\n')
		}
		return err
	})
	added, forked := adding(patience(limit)), forking(patience(limit))
	if added != nil || forked != nil {
		end() // or nothing goes on
		adding(time.Minute)
		forking(time.Minute)
		_ = c.BootRemove(p.Hash)
		t.Fatalf("after %v: the boot entry: %v; a fork: %v", limit, added, forked)
	}
	if got := exitOf(t, path); got != 2 {
		t.Errorf("the program exits with %d, want 2", got)
	}
	removing := begin(func() error { return c.BootRemove(p.Hash) })
	if err := removing(patience(limit)); err != nil {
		end()
		removing(time.Minute)
		t.Fatalf("removing the boot entry, after %v: %v", limit, err)
	}
}

// TestHostileEnvironment has nobody start a program with an environment of what looks like return addresses into the function that
// a boot entry replaces: the program is patched, each time, and at once.
func TestHostileEnvironment(t *testing.T) {
	const pieBase = 0x555555554000 // without randomised addresses
	for _, s := range []struct {
		name, image, program string
		setuid               bool
		args                 []string
	}{
		{name: "setuid", image: "start-nopie", program: "start-nopie", setuid: true},
		{name: "setuid-static", image: "start-static", program: "start-static", setuid: true},
		{name: "pie", image: "start", program: "start"},
		{name: "library", image: "libstart.so", program: "start-shared"},
		{name: "dlopen", image: "libstart.so", program: "start", args: []string{fixtures + "libstart.so", "1"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			path, program := fixtures+s.image, fixtures+s.program
			command := func(address uint64, pages int) *exec.Cmd {
				fixed := fmt.Sprint(map[bool]int{false: 1, true: 0}[s.setuid])
				args := append([]string{fmt.Sprintf("%#x", address), fmt.Sprint(pages), fixed, program}, s.args...)
				cmd := exec.Command(attackers+"environ", args...)
				cmd.SysProcAttr = nobody()
				return cmd
			}
			var base uint64
			pages := 0
			switch {
			case s.setuid:
				makeSetuid(t, path)
			case s.image == s.program:
				base = pieBase
			default:
				base, pages = libraryBase(t, command(0, 0), path), 256
			}
			c := dial(t)
			addBoot(t, c, rawPatch(t, path, "value"), 0)
			words := addressInside(t, path, base)
			for range 5 {
				started := time.Now()
				got := exitOfCommand(t, command(words, pages))
				if took := time.Since(started); got != 2 || took > patience(5*time.Second) {
					t.Fatalf("the program exits with %d after %v, want 2 at once: %s", got, took.Round(time.Millisecond), onlyBoot(t, c).Message)
				}
			}
		})
	}
}

// addressInside is one of value() that has no byte 0 but the highest ones, which no string could hold.
func addressInside(t *testing.T, path string, base uint64) uint64 {
	t.Helper()
	s := lookUp(t, path, "value")
	for a := base + s.Value + 1; a < base+s.Value+s.Size; a++ {
		whole := true
		for rest := a; rest != 0; rest >>= 8 {
			whole = whole && rest&0xff != 0
		}
		if whole {
			return a
		}
	}
	t.Fatalf("all addresses of value() in %s have a byte 0", path)
	return 0
}

// libraryBase has the dynamic linker say where it maps a library.
func libraryBase(t *testing.T, cmd *exec.Cmd, path string) uint64 {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	link := `file=(?:\S*/)?` + regexp.QuoteMeta(filepath.Base(path)) + ` \[0\];  generating link map\n.* base: 0x([0-9a-f]+)`
	found := regexp.MustCompile(link).FindSubmatch(out)
	var base uint64
	if found == nil || !parse(string(found[1]), "%x", &base) {
		t.Fatalf("the dynamic linker does not say where %s is:\n%s", path, out)
	}
	return base
}

// TestHostileHog has nobody's processes map a program that has a boot entry all the time, in a way that makes their patching
// long: starts of that program by others, and operations on other processes, take no longer than beside hogs of another file.
func TestHostileHog(t *testing.T) {
	// Starts beside busy hogs are uneven: 20 ms or 400, on an emulated machine of two processors.
	const hogs, runs, times, least = 16, 9, 3, 150 * time.Millisecond
	path := fixtures + "start"
	c := dial(t)
	quiet := startVictim(t, "life")
	q := rawPatch(t, quiet.path, "value")
	transfer(t, c, q)
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	measure := func(file string) (start, apply time.Duration) {
		for range hogs {
			_, end := attack(t, "hog", mapping(t, file)[:2]...)
			defer end()
		}
		var starts, applies []time.Duration
		for range runs {
			began := time.Now()
			if got := exitOf(t, path); got != 2 {
				t.Errorf("the program exits with %d, want 2", got)
			}
			starts = append(starts, time.Since(began))
			began = time.Now()
			do(t, c, lpnl.VerbApply, q, quiet.pid)
			applies = append(applies, time.Since(began))
			do(t, c, lpnl.VerbRestore, q, quiet.pid)
		}
		slices.Sort(starts)
		slices.Sort(applies)
		t.Logf("beside hogs of %s: starts %v, applies %v", file, starts, applies)
		return max(starts[runs/2], patience(least)), max(applies[runs/2], patience(least))
	}
	start, apply := measure(fixtures + "start-nopie")
	hogged, applied := measure(path)
	if hogged > times*start {
		t.Errorf("a start takes %v beside hogs of its file, %v beside others, which is more than %d times as long", hogged, start, times)
	}
	if applied > times*apply {
		t.Errorf("an apply takes %v beside hogs of a file with a boot entry, %v beside others, which is more than %d times as long", applied, apply, times)
	}
}

// TestHostileLimits has nobody start a program of root's that is set-user-ID, under all that a starter can choose: it runs
// patched, or it does not run. (A copy in a memfd is another file, and runs as it is: TestBootMemfd; so does what a process maps
// twice, of its own will: its own, as no starter can make another's do so.)
func TestHostileLimits(t *testing.T) {
	for _, program := range []string{"start-static", "start-nopie", "start"} {
		t.Run(program, func(t *testing.T) {
			path := fixtures + program
			makeSetuid(t, path)
			as, data := leastLimit(t, "as", path), leastLimit(t, "data", path)
			hows := []string{
				"memlock=0", "nofile=0", "nofile=3", "nproc=0", "fsize=0", "sigpending=0", "stack=16384", "stack=65536", "stack=-1",
				"personality=0x40000", "personality=0x640000", "personality=0x100000", "mdwe", "seccomp", "idle", "closed",
				"traced", "stopped", "stopped,idle", "nproc=0,memlock=0,nofile=4,mdwe,idle,sigpending=0,fsize=0",
			}
			for pages := uint64(0); pages < 12; pages++ {
				hows = append(hows, fmt.Sprintf("as=%d", as+pages*pageSize), fmt.Sprintf("data=%d", data+pages*pageSize))
			}
			c := dial(t)
			p := rawPatch(t, path, "value")
			p.Segments = append(p.Segments, lpnl.Segment{Vaddr: pageSize, Size: pageSize, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
			addBoot(t, c, p, 0)
			for _, how := range hows {
				switch got := limited(t, how, path); got {
				case 2:
				case 1:
					t.Errorf("%s: the program runs, and is not patched: %s", how, onlyBoot(t, c).Message)
				case -1, 100, 101, 127:
					t.Logf("%s: the program does not run: %d", how, got)
				default:
					t.Errorf("%s: the program exits with %d", how, got)
				}
			}
		})
	}
}

// limited starts a program as nobody under conditions.
func limited(t *testing.T, how, path string) int {
	t.Helper()
	cmd := exec.Command(attackers+"limits", how, path)
	cmd.SysProcAttr = nobody()
	return exitOfCommand(t, cmd)
}

// leastLimit is the lowest limit of a resource, in whole pages, with which a program runs unpatched.
func leastLimit(t *testing.T, resource, path string) uint64 {
	t.Helper()
	low, high := uint64(0), uint64(64<<20)/pageSize
	for low < high {
		middle := (low + high) / 2
		if limited(t, fmt.Sprintf("%s=%d", resource, middle*pageSize), path) == 1 {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low * pageSize
}
