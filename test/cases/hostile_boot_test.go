// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// TestHostileWedge has a process that maps a program keep its own mmap_lock while root makes a boot entry for that program, and
// removes it: neither waits, and everybody can fork meanwhile.
//
//machine:preempts
//machine:needs CONFIG_FUSE_FS CONFIG_USER_NS
func TestHostileWedge(t *testing.T) {
	const path, limit = fixtures + "start-static", 2 * time.Second
	lendFUSE(t)
	parent := startVictim(t, "life")
	c := dial(t)
	p := rawPatch(t, path, "value")
	transfer(t, c, p)
	_, end := attack(t, "wedge", mapping(t, path)...)

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

// TestHostileWedgedTarget has a process that was patched keep its own mmap_lock: it keeps nobody waiting, and nothing of others.
//
//machine:preempts
//machine:needs CONFIG_FUSE_FS CONFIG_USER_NS
func TestHostileWedgedTarget(t *testing.T) {
	const path, limit = fixtures + "start", 2 * time.Second
	lendFUSE(t)
	c, watcher, remover := dial(t), dial(t), dial(t)
	p := rawPatch(t, path, "value")
	addBoot(t, c, p, 0)
	v, end := attack(t, "wedge", mapping(t, path)...)
	attackers, err := watcher.Info() // it forks, too
	if err != nil || attackers.Targets == 0 {
		t.Fatalf("there are %d targets (%v), want the attacker", attackers.Targets, err)
	}
	for _, step := range []struct {
		what  string
		limit time.Duration
		do    func() error
	}{
		{"a status", limit, func() error {
			_, err := watcher.Status()
			return err
		}},
		{"a restore with a time-out of 1s", time.Second + limit, func() error {
			_, err := c.Op(lpnl.VerbRestore, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{Timeout: time.Second})
			var refused *lpnl.Refused
			if errors.As(err, &refused) {
				return nil
			}
			return err
		}},
		{"20 starts of the program", 10 * time.Second, func() error { return startPatched(path, 20) }},
		{"the end of their records", 10 * time.Second, func() error {
			for {
				if info, err := watcher.Info(); err != nil || info.Targets <= attackers.Targets {
					return err
				}
				time.Sleep(100 * time.Millisecond)
			}
		}},
		{"the end of the boot entry", limit, func() error { return remover.BootRemove(p.Hash) }},
	} {
		outcome := begin(step.do)
		if err := outcome(patience(step.limit)); err != nil {
			t.Errorf("%s, after %v: %v", step.what, step.limit, err)
		}
		t.Cleanup(func() { _ = outcome(time.Minute) }) // what has stopped goes on when the attack is over
	}
	end()
	wantNoTargets(t, watcher)
}

// startPatched starts a program so often, and wants it to be patched each time.
func startPatched(path string, times int) error {
	for range times {
		if err := exec.Command(path).Run(); err == nil || err.Error() != "exit status 2" {
			return fmt.Errorf("the program ended with %w, not exit status 2", err)
		}
	}
	return nil
}

// TestHostileUnpatchable has nobody start programs that cannot be patched, as they are not what the patch expects. One that gives
// him rights that he does not have does not run.
//
//machine:preempts
func TestHostileUnpatchable(t *testing.T) {
	path := fixtures + "start-static"
	c := dial(t)
	p := rawPatch(t, path, "value")
	p.Sites[0].Old = []byte{1, 2, 3, 4, 5}
	addBoot(t, c, p, 0)
	want := func(want int, what string) {
		t.Helper()
		cmd := exec.Command(path)
		cmd.SysProcAttr = nobody()
		if got := exitOfCommand(t, cmd); got != want {
			t.Errorf("%s exits with %d, want %d", what, got, want)
		}
	}
	want(1, "an ordinary program")
	giveCapability(t, path)
	want(-1, "one with a capability")
	makeSetuid(t, path)
	want(-1, "a set-user-ID program")
}

// giveCapability has a program run with CAP_NET_RAW whoever starts it, until the end of the test.
func giveCapability(t *testing.T, path string) {
	t.Helper()
	const name = "security.capability"
	// Revision 2, effective; then permitted and inheritable, low and high.
	value, err := binary.Append(nil, binary.LittleEndian, [5]uint32{0x02000001, 1 << unix.CAP_NET_RAW})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(path, name, value, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Removexattr(path, name); err != nil {
			t.Error(err)
		}
	})
}

// TestHostileEnvironment has nobody start a program with an environment of what looks like return addresses into the function that
// a boot entry replaces: the program is patched, each time, and at once.
//
//machine:preempts
func TestHostileEnvironment(t *testing.T) {
	const pieBase = 0x555555554000 // without randomised addresses
	for _, s := range []struct {
		name, image, program string
		raise                func(*testing.T, string)
		args                 []string
	}{
		{name: "setuid", image: "start-nopie", program: "start-nopie", raise: makeSetuid},
		{name: "setuid-static", image: "start-static", program: "start-static", raise: makeSetuid},
		{name: "capability", image: "start-static", program: "start-static", raise: giveCapability},
		{name: "pie", image: "start", program: "start"},
		{name: "library", image: "libstart.so", program: "start-shared"},
		{name: "dlopen", image: "libstart.so", program: "start", args: []string{fixtures + "libstart.so", "1"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			path, program := fixtures+s.image, fixtures+s.program
			command := func(address uint64, pages int) *exec.Cmd {
				fixed := fmt.Sprint(map[bool]int{true: 1}[s.raise == nil])
				args := append([]string{fmt.Sprintf("%#x", address), fmt.Sprint(pages), fixed, program}, s.args...)
				cmd := exec.Command(attackers+"environ", args...)
				cmd.SysProcAttr = nobody()
				return cmd
			}
			var base uint64
			pages := 0
			switch {
			case s.raise != nil:
				s.raise(t, path)
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
//
//machine:preempts
func TestHostileHog(t *testing.T) {
	// Starts beside busy hogs are uneven: 20 ms or 400, on an emulated machine of two processors.
	const hogs, runs, times, least = 12, 5, 3, 150 * time.Millisecond
	path := fixtures + "start"
	c := dial(t)
	quiet := startVictim(t, "life")
	q := rawPatch(t, quiet.path, "value")
	transfer(t, c, q)
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	measure := func(file string) (start, apply time.Duration) {
		for range hogs {
			_, end := attack(t, "hog", mapping(t, file)...)
			defer end()
		}
		t.Logf("%d hogs of %s are at work", hogs, file)
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
		wantNeverUnpatched(t, c, "watched", path, nil)
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
//
//machine:preempts
func TestHostileLimits(t *testing.T) {
	const large = 1 << 20 // of a patch, so that there is no room for it where there is for the program
	// The one of musl needs no more memory than execve() gives it.
	for _, program := range []string{"start-static", "start", "start-musl-static"} {
		t.Run(program, func(t *testing.T) {
			path := fixtures + program
			makeSetuid(t, path)
			as, data := leastLimit(t, "as", path), leastLimit(t, "data", path)
			hows := []string{
				"memlock=0", "nofile=0", "nofile=3", "nproc=0", "fsize=0", "sigpending=0", "stack=16384", "stack=65536", "stack=-1",
				"personality=0x40000", "personality=0x640000", "personality=0x100000", "mdwe", "seccomp", "idle", "closed",
				"traced", "stopped", "stopped,idle", "watched", "nproc=0,memlock=0,nofile=4,mdwe,idle,sigpending=0,fsize=0",
			}
			for pages := uint64(0); pages < 4; pages++ {
				hows = append(hows, fmt.Sprintf("as=%d", as+pages*pageSize), fmt.Sprintf("data=%d", data+pages*pageSize))
			}
			c := dial(t)
			p := rawPatchWith(t, path, "value", append(slices.Clone(plusTwo), make([]byte, large)...))
			p.Segments[0].Size = large
			p.Segments = append(p.Segments, lpnl.Segment{Vaddr: large, Size: large, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
			addBoot(t, c, p, 0)
			patched := 0
			for _, how := range hows {
				if wantNeverUnpatched(t, c, how, path, nil) {
					patched++
				}
			}
			if patched < 10 { // what neither lacks memory nor descriptors
				t.Errorf("the program ran %d times only", patched)
			}
		})
	}
}

// limited starts a program as nobody under conditions, and in a control group, if that is not nil.
func limited(t *testing.T, how, path string, group *os.File) int {
	t.Helper()
	cmd := exec.Command(attackers+"limits", how, path)
	cmd.SysProcAttr = nobody()
	if group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	return exitOfCommand(t, cmd)
}

// wantNeverUnpatched wants a program that has a boot entry to be patched, or not to run, and says which.
func wantNeverUnpatched(t *testing.T, c *lpnl.Client, how, path string, group *os.File) (patched bool) {
	t.Helper()
	switch got := limited(t, how, path, group); got {
	case 2:
		return true
	case 1:
		t.Errorf("%s: the program runs, and is not patched: %s", how, onlyBoot(t, c).Message)
	case -1, 100, 101, 127:
		t.Logf("%s: the program does not run: %d", how, got)
	default:
		t.Errorf("%s: the program exits with %d", how, got)
	}
	return false
}

// TestHostileStarved has nobody start a set-user-ID program that is hardly ever given a processor.
//
//machine:preempts
func TestHostileStarved(t *testing.T) {
	path := fixtures + "start-static"
	makeSetuid(t, path)
	c := dial(t)
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	if !wantNeverUnpatched(t, c, "starved", path, nil) {
		t.Error("the program does not run")
	}
}

// TestHostileMemory has nobody start a set-user-ID program in a control group that has hardly enough memory for it, or none to
// spare.
//
//machine:preempts
//machine:needs CONFIG_MEMCG
func TestHostileMemory(t *testing.T) {
	path, root := fixtures+"start-static", t.TempDir()
	makeSetuid(t, path)
	mount(t, "none", root, "cgroup2", 0)
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.subtree_control", "+memory")
	group := filepath.Join(root, "small")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waitFor(t, "the end of the group", func() bool { return os.Remove(group) == nil }) })
	dir := open(t, group)
	c := dial(t)
	addBoot(t, c, rawPatch(t, path, "value"), 0)
	patched := false
	for pages := 32; pages < 300; pages += 4 {
		write("small/memory.max", fmt.Sprint(pages*pageSize))
		patched = wantNeverUnpatched(t, c, "memlock=0", path, dir) // which is no matter here
	}
	if !patched {
		t.Error("the program does not run with enough memory either")
	}
}

// leastLimit is the lowest limit of a resource, in whole pages, with which a program runs unpatched.
func leastLimit(t *testing.T, resource, path string) uint64 {
	t.Helper()
	low, high := uint64(0), uint64(64<<20)/pageSize
	for low < high {
		middle := (low + high) / 2
		if limited(t, fmt.Sprintf("%s=%d", resource, middle*pageSize), path, nil) == 1 {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low * pageSize
}
