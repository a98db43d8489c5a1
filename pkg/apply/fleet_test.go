// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/filetest"
)

// fleet is a kernel with many targets, and the /proc in which they are seen to run one program and to map their patches. It
// counts what it is asked. The processes are real ones, for the sake of their pidfds.
type fleet struct {
	tb     testing.TB
	root   string
	prog   string
	pids   []int
	has    map[int][]lpnl.Report
	names  map[lpnl.Hash]string // of the patches that were transferred
	files  map[string]string    // patch files by name
	asked  map[string]int
	looked func() // called once, after a status
	jit    string // a file without code of its own that all map executable, ""
	busy   string // the patch in whose code a thread stays, ""
}

const fleetBase = 0x7f0000000000

func newFleet(tb testing.TB, n int) *fleet {
	tb.Helper()
	f := &fleet{tb: tb, root: tb.TempDir(), prog: filepath.Join(tb.TempDir(), "prog"),
		has: map[int][]lpnl.Report{}, names: map[lpnl.Hash]string{}, files: map[string]string{}, asked: map[string]int{}}
	data, err := os.ReadFile("/bin/sleep")
	if err == nil {
		err = os.WriteFile(f.prog, data, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	for range n {
		f.process()
	}
	return f
}

// process adds one.
func (f *fleet) process() (pid int) {
	f.tb.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	pid = cmd.Process.Pid
	f.pids = append(f.pids, pid)
	if err := os.MkdirAll(filepath.Join(f.root, strconv.Itoa(pid), "map_files"), 0o755); err != nil {
		f.tb.Fatal(err)
	}
	for name, text := range map[string]string{
		"status": fmt.Sprintf("Name:\tp\nTgid:\t%d\n", pid),
		"stat":   fmt.Sprintf("%d (p) S 1 2 3 4 5 0 7 8 9 10 11 12 13 14 15 16 1 0 %d 23 24\n", pid, pid),
	} {
		if err := os.WriteFile(filepath.Join(f.root, strconv.Itoa(pid), name), []byte(text), 0o644); err != nil {
			f.tb.Fatal(err)
		}
	}
	f.remap(pid)
	return pid
}

// remap writes what a process maps.
func (f *fleet) remap(pid int) {
	var maps strings.Builder
	line := func(start uint64, ino int, file string) {
		fmt.Fprintf(&maps, "%x-%x r-xp 00000000 fe:01 %d %s\n", start, start+0x1000, ino, file)
		link := filepath.Join(f.root, strconv.Itoa(pid), "map_files", fmt.Sprintf("%x-%x", start, start+0x1000))
		_ = os.Remove(link)
		if err := os.Symlink(file, link); err != nil {
			f.tb.Error(err)
		}
	}
	line(0x1000, 1, f.prog)
	if f.jit != "" {
		line(0x8000, 99, f.jit)
	}
	for _, r := range f.has[pid] {
		line(r.MappedAt, 2+int(r.Hash[0])<<8+int(r.Hash[1]), f.files[r.Patch])
	}
	if err := os.WriteFile(filepath.Join(f.root, strconv.Itoa(pid), "maps"), []byte(maps.String()), 0o644); err != nil {
		f.tb.Error(err)
	}
}

func (f *fleet) Transfer(p *lpnl.Patch) error {
	f.asked["transfer"]++
	f.names[p.Hash] = p.Name
	return nil
}

func (f *fleet) Status() ([]lpnl.Report, error) {
	f.asked["status"]++
	var all []lpnl.Report
	for _, pid := range f.pids {
		all = append(all, f.has[pid]...)
	}
	if looked := f.looked; looked != nil {
		f.looked = nil
		looked()
	}
	return all, nil
}

func (f *fleet) Boots() ([]lpnl.Boot, error)             { return nil, nil }
func (f *fleet) BootAdd(lpnl.Hash, lpnl.BootFlags) error { return nil }
func (f *fleet) BootRemove(lpnl.Hash) error              { return nil }

// at is the first address at which a process has no patch.
func (f *fleet) at(pid int) uint64 {
	at := uint64(fleetBase)
	for slices.ContainsFunc(f.has[pid], func(r lpnl.Report) bool { return r.MappedAt == at }) {
		at += 0x1000
	}
	return at
}

// Op does what the kernel does.
func (f *fleet) Op(verb lpnl.Verb, h lpnl.Hash, t lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	f.asked["op"]++
	list := f.has[t.PID]
	i := slices.IndexFunc(list, func(r lpnl.Report) bool { return r.Hash == h })
	r := lpnl.Report{Patch: f.names[h], Hash: h, PID: t.PID, Comm: "p", MappedAt: f.at(t.PID), MappedBytes: 0x1000}
	if i >= 0 {
		r = list[i]
	}
	r.Verb = verb
	if r.Refusal = refusal(verb, r.State); r.Refusal != lpnl.RefusalNone {
		r.Message = fmt.Sprintf("%s is refused, %s is %s", verb, r.Patch, r.State)
		return r, &lpnl.Refused{Report: r}
	}
	for j := range list {
		if f.busy != "" && list[j].Patch == f.busy && slices.Contains(o.Supersede, list[j].Hash) {
			r.Refusal, r.Message = lpnl.RefusalThreadActive, "thread 9 (w) is executing patch "+f.busy
			return r, &lpnl.Refused{Report: r}
		}
	}
	for j := range list {
		if verb == lpnl.VerbApply && (o.Replace || slices.Contains(o.Supersede, list[j].Hash)) {
			list[j].State = lpnl.StateRestored
		}
	}
	switch verb {
	case lpnl.VerbCheck, lpnl.VerbRecount:
		return r, nil
	case lpnl.VerbUnload:
		list = slices.Delete(list, i, i+1)
		r.State = lpnl.StateNone
	default:
		r.State = map[lpnl.Verb]lpnl.State{lpnl.VerbLoad: lpnl.StateLoaded, lpnl.VerbApply: lpnl.StateApplied, lpnl.VerbRestore: lpnl.StateRestored}[verb]
		if i < 0 {
			list = append(list, r)
		} else {
			list[i] = r
		}
	}
	f.has[t.PID] = list
	f.remap(t.PID)
	return r, nil
}

func refusal(verb lpnl.Verb, state lpnl.State) lpnl.Refusal {
	applied, takes := state == lpnl.StateApplied, verb != lpnl.VerbApply && verb != lpnl.VerbCheck && verb != lpnl.VerbLoad
	switch {
	case state == lpnl.StateNone && takes:
		return lpnl.RefusalNotLoaded
	case applied && !takes, verb == lpnl.VerbRestore && !applied, verb == lpnl.VerbLoad && state != lpnl.StateNone:
		return lpnl.RefusalAlready
	case verb == lpnl.VerbUnload && applied:
		return lpnl.RefusalStillApplied
	}
	return lpnl.RefusalNone
}

// patch makes a patch file of the program, which may rely on main as it is in the file.
func (f *fleet) patch(name string, relies bool, upon ...PatchRef) PatchRef {
	f.tb.Helper()
	return f.file(f.spec(name, relies, upon...))
}

func (f *fleet) spec(name string, relies bool, upon ...PatchRef) *patch.Spec {
	f.tb.Helper()
	spec, err := applytest.Spec(name, f.prog)
	if err != nil {
		f.tb.Fatal(err)
	}
	if relies {
		spec.Relies = []patch.Reliance{{Symbol: "main", Start: spec.Functions[0].Bodies[0].Start}}
	}
	for _, u := range upon {
		im := spec.Images[0]
		im.Name, im.Soname, im.BuildID = u.Name+".lp", "", u.File.buildID
		spec.Upon = append(spec.Upon, patch.Upon{Name: u.Name, Image: len(spec.Images)})
		spec.Images = append(spec.Images, im)
	}
	return spec
}

// file makes the file of a patch.
func (f *fleet) file(spec *patch.Spec) PatchRef {
	f.tb.Helper()
	path := filepath.Join(f.tb.TempDir(), spec.Name+".lp")
	if err := applytest.Write(path, spec); err != nil {
		f.tb.Fatal(err)
	}
	file, err := Open(path)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { _ = file.Close() })
	f.files[spec.Name] = path
	return PatchRef{File: file, Name: spec.Name}
}

func (f *fleet) session() *Session { return New(f, proc.New(f.root)) }

// TestRequests counts what the kernel is asked for N targets: once per round for the state of all, and a few times for each.
func TestRequests(t *testing.T) {
	for _, n := range []int{10, 100} {
		f := newFleet(t, n)
		a, b := f.patch("a", false), f.patch("b", false)
		on := f.patch("on", false, a)
		clash := f.patch("clash", true)
		replace := lpnl.Options{Replace: true}
		for _, step := range []struct {
			verb   Verb
			patch  PatchRef
			o      lpnl.Options
			looks  int
			each   int // operations on a target
			failed lpnl.Refusal
		}{
			{lpnl.VerbCheck, a, lpnl.Options{}, 1, 1, 0},
			{lpnl.VerbApply, a, lpnl.Options{}, 2, 1, 0},
			{lpnl.VerbApply, a, lpnl.Options{}, 2, 2, lpnl.RefusalAlready},
			{lpnl.VerbRestore, PatchRef{Name: "a"}, lpnl.Options{}, 2, 1, 0},
			{lpnl.VerbApply, PatchRef{Name: "a"}, lpnl.Options{}, 2, 3, 0},
			{lpnl.VerbApply, clash, lpnl.Options{}, 2, 1, lpnl.RefusalSiteTaken},
			{lpnl.VerbApply, b, lpnl.Options{}, 2, 1, 0},
			{lpnl.VerbApply, on, lpnl.Options{}, 2, 2, 0},
			{Revert, PatchRef{Name: "a"}, lpnl.Options{}, 2, 0, lpnl.RefusalCovered},
			{Revert, on, lpnl.Options{}, 2, 2, 0},
			{Revert, PatchRef{Name: "b"}, lpnl.Options{}, 2, 2, 0},
			{Revert, b, lpnl.Options{}, 2, 1, lpnl.RefusalNotLoaded},
			{lpnl.VerbApply, clash, replace, 2, 2, 0},
			{Revert, PatchRef{Name: "clash"}, lpnl.Options{}, 2, 2, 0},
		} {
			f.asked = map[string]int{}
			r, err := f.session().RunSelected(step.verb, step.patch, Selection{All: true}, step.o)
			if err != nil || len(r.Outcomes) != n || len(r.Misses) != 0 {
				t.Fatalf("%s %s: %d outcomes, %+v, %v", step.verb, step.patch.Name, len(r.Outcomes), r.Misses, err)
			}
			for _, out := range r.Outcomes {
				if RefusalCode(out.Err) != step.failed || (out.Err == nil) != (step.failed == 0) {
					t.Fatalf("%s %s: %+v", step.verb, step.patch.Name, out)
				}
			}
			if f.asked["status"] != step.looks || f.asked["op"] > step.each*n || f.asked["transfer"] > 1 {
				t.Errorf("%s %s of %d targets: %v, want %d looks and %d operations on each", step.verb, step.patch.Name, n, f.asked, step.looks, step.each)
			}
		}
	}
}

// TestRequestsSync is TestRequests for a status, and for what takes out of all targets what is not kept.
func TestRequestsSync(t *testing.T) {
	for _, n := range []int{10, 100} {
		f := newFleet(t, n)
		for _, name := range []string{"a", "b"} {
			if _, err := f.session().RunSelected(lpnl.VerbApply, f.patch(name, false), Selection{All: true}, lpnl.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, pid := range f.pids {
			f.has[pid][0].ActiveThreads = 1
		}
		f.asked = map[string]int{}
		all, _ := f.Status()
		if got := f.session().Recount(all); len(got) != 2*n || f.asked["status"] != 1 || f.asked["op"] != n {
			t.Errorf("a status of %d targets: %d reports, asked %v", n, len(got), f.asked)
		}
		for _, pid := range f.pids {
			f.has[pid][0].ActiveThreads = 0
		}
		f.asked = map[string]int{}
		c, errs := f.session().Compare(f, boot.Registry{Root: t.TempDir(), Owner: os.Getuid()}, func(*boot.Entry) error { return nil })
		c.Fix(lpnl.Options{})
		c.Close()
		if len(errs) != 0 || !c.Agrees() || len(c.Rows) != 2*n || f.asked["status"] != 1 || f.asked["op"] > 4*n {
			t.Errorf("a synchronization of %d targets: %d rows, %v, asked %v", n, len(c.Rows), errs, f.asked)
		}
	}
}

// TestRequestsStranger has all targets map a file that is no patch: of one that cannot be read, a single look more tells that.
func TestRequestsStranger(t *testing.T) {
	for content, looks := range map[string]int{"": 2, "code that was compiled just in time": 2, "leased": 3} {
		f := newFleet(t, 10)
		f.jit = filepath.Join(t.TempDir(), "jit")
		if err := os.WriteFile(f.jit, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if content == "leased" {
			filetest.Lease(t, f.jit)
		}
		for _, pid := range f.pids {
			f.remap(pid)
		}
		r, err := f.session().RunSelected(lpnl.VerbApply, f.patch("a", true), Selection{All: true}, lpnl.Options{})
		if err != nil || len(r.Outcomes) != 10 || r.Outcomes[9].Err != nil || f.asked["status"] != looks || f.asked["op"] != 10 {
			t.Errorf("%q: %+v, %v, asked %v, want %d looks", content, r, err, f.asked, looks)
		}
	}
}

// reads counts how often others read what the processes map, until it is asked.
func (f *fleet) reads() (count func() int) {
	f.tb.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	for _, pid := range f.pids {
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, filepath.Join(f.root, strconv.Itoa(pid), "maps"), unix.IN_CLOSE_NOWRITE)
		}
	}
	if err != nil {
		f.tb.Fatal(err)
	}
	return func() int {
		defer unix.Close(fd)
		events := make([]byte, 1<<20)
		n, err := unix.Read(fd, events)
		if errors.Is(err, unix.EAGAIN) {
			return 0
		}
		if err != nil {
			f.tb.Fatal(err)
		}
		return n / unix.SizeofInotifyEvent
	}
}

// TestLooks counts how often each process is looked at: as it is searched for, at its turn, and by the search for those that were forked
// meanwhile. Those that are named are looked at beside each other first, for one may take long.
func TestLooks(t *testing.T) {
	const n = 10
	f := newFleet(t, n)
	a := f.patch("a", false)
	for _, step := range []struct {
		verb  Verb
		patch PatchRef
		sel   Selection
		each  int
	}{
		{lpnl.VerbCheck, a, Selection{All: true}, 2},
		{lpnl.VerbApply, a, Selection{All: true}, 3},
		{lpnl.VerbApply, a, Selection{All: true}, 3},
		{Revert, a, Selection{All: true}, 3},
		{lpnl.VerbApply, a, Selection{PIDs: f.pids}, 2},
		{lpnl.VerbApply, a, Selection{PIDs: f.pids[:1]}, 1},
		{Revert, PatchRef{Name: "a"}, Selection{All: true}, 2},
	} {
		count := f.reads()
		r, err := f.session().RunSelected(step.verb, step.patch, step.sel, lpnl.Options{})
		if err != nil || len(r.Outcomes) != max(len(step.sel.PIDs), 1) && len(r.Outcomes) != n {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := count(); got > step.each*len(r.Outcomes) {
			t.Errorf("%s %s: %d looks at %d processes, want %d at each", step.verb, step.patch.Name, got, len(r.Outcomes), step.each)
		}
	}
}

// BenchmarkTargets applies and reverts a patch in so many targets.
func BenchmarkTargets(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFleet(b, n)
			file := f.patch("a", false)
			for b.Loop() {
				for _, step := range []struct {
					verb  Verb
					patch PatchRef
				}{{lpnl.VerbApply, file}, {Revert, PatchRef{Name: "a"}}} {
					if r, err := f.session().RunSelected(step.verb, step.patch, Selection{All: true}, lpnl.Options{}); err != nil || len(r.Outcomes) != n {
						b.Fatal(len(r.Outcomes), err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/target")
		})
	}
}
