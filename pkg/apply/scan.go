// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lpatch/pkg/bake"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// ScanState is how a process stands with a patch.
type ScanState string

// The states, those that something is to be done about first.
const (
	ScanPatchable    ScanState = "patchable"     // it has what the patch changes, and not the patch
	ScanOldInMemory  ScanState = "old in memory" // so, or in a version of no patch, and where its file was there is another build by now
	ScanNotPatchable ScanState = "not patchable" // it has what the patch changes, and the patch cannot be applied
	ScanUnknown      ScanState = "unknown build" // it maps a file of that name, in a build that no patch is for
	ScanPatched      ScanState = "patched"       // the patch is applied, as the kernel has it, or in the file
)

// Finding is how a process stands with a patch that is for one of the files that it maps.
type Finding struct {
	Process proc.Process
	Service string // the unit that it belongs to, else its program
	State   ScanState
	Patch   *patch.Spec
	Path    string // of the file, as the process maps it
	BuildID []byte // of that file
	OnDisk  string // of the file that is there now, if that is another one: its build-id, as in messages
	Active  int    // of one that is patched: threads that are in code from before, at most
	Why     string // a sentence without a name of a process, or ""
	// By is a patch that is applied in its place, of one that is patched so. It may say less of what it fixes.
	By     *patch.Spec
	Other  bool // what the process maps is not what the patch is for, and not known to be patched: it has only the name of that
	patch  *ScanPatch
	images []*candidate // what the process maps of the patch's images, nil for one that it does not
	fits   bool         // it can be applied, as far as can be told without the kernel
}

// Needs tells whether something is to be done.
func (f *Finding) Needs() bool {
	return f.State == ScanPatchable || f.State == ScanOldInMemory || f.State == ScanNotPatchable
}

// Scan is what was found out about processes and patches.
type Scan struct {
	Findings  []Finding // by service, process and patch
	Displaced []Finding // of patches in whose place another one is to be, or is; not in an order
	Live      []Live    // not in an order
	Processes int       // that were looked at
	Files     int       // ELF files that they map executable, each once
	Others    int       // of these, that no patch is for
	Failed    []Outcome // what keeps us from processes that were named by pid
	Misses    []Miss
	Unseen    []error // what kept us from processes, or from a file that one maps
}

// Need is the number of processes for which something is to be done.
func (s *Scan) Need() int { return s.count((*Finding).Needs) }

// Patched is the number of processes to which a patch is applied.
func (s *Scan) Patched() int {
	return s.count(func(f *Finding) bool { return f.State == ScanPatched })
}

// Active is the number of processes that are patched and in which threads are still in code from before.
func (s *Scan) Active() int { return s.count(func(f *Finding) bool { return f.Active > 0 }) }

func (s *Scan) count(is func(*Finding) bool) int {
	of := map[proc.Process]bool{}
	for i := range s.Findings {
		if is(&s.Findings[i]) {
			of[life(s.Findings[i].Process)] = true
		}
	}
	return len(of)
}

// scanner is a scan that is under way.
type scanner struct {
	*Session
	patches  []*ScanPatch
	abouts   *Abouts
	required bool // the kernel requires signatures
	of       map[int][]lpnl.Report

	mutex sync.Mutex
	files map[proc.FileID]bool // ELF files that were met, and whether a patch is for them
}

// sight is what was seen in one process.
type sight struct {
	findings, displaced []Finding
	live                *Live // nil: it has no patch, or all that it executes is in place
	unread              error // why a file could not be read
	err                 error // why it could not be looked at
}

// Scan looks at processes, all if nothing is selected, and at how they stand with patches. It stops and changes none. A session
// without a kernel is that of a machine without the module: nothing is patched there.
//
// That a patch is applied is the kernel's word: it is asked before and after the processes are looked at, and what it has of a
// process must be the same, so that the process has not executed another program in between.
func (s *Session) Scan(patches []*ScanPatch, sel Selection, required bool) (*Scan, error) {
	sel.All = false
	found, err := s.scanned(sel)
	if err != nil {
		return nil, err
	}
	c := &scanner{Session: s, patches: patches, abouts: NewAbouts(s.proc), required: required, files: map[proc.FileID]bool{}}
	out := &Scan{Failed: found.Failed, Misses: found.Misses, Unseen: found.Unseen}
	before, err := c.records()
	if err != nil {
		return nil, err
	}
	todo := found.Targets
	for pass := 1; len(todo) > 0; pass++ {
		sights := c.lookAt(todo, before)
		after := before
		if len(before) > 0 {
			if after, err = c.records(); err != nil {
				return nil, err
			}
		}
		var again []proc.Process
		for i, t := range todo {
			switch {
			case sameRecords(before[t.PID], after[t.PID]):
				c.take(out, t, sights[i])
			case pass == maxPasses:
				out.Unseen = append(out.Unseen, fmt.Errorf("%v: its patches change faster than it can be looked at; try again when it is at rest", t))
			default:
				again = append(again, t)
			}
		}
		todo, before = again, after
	}
	c.finish(out)
	return out, nil
}

// scanned are the processes of a selection, or all.
func (s *Session) scanned(sel Selection) (*Found, error) {
	if !sel.Empty() {
		return s.Find("scan", sel, PatchRef{})
	}
	list, unseen, err := s.proc.Select(func(proc.Process) (bool, error) { return true, nil })
	return &Found{Targets: list, Unseen: unseen}, err
}

// records asks the kernel what is in which process.
func (c *scanner) records() (map[int][]lpnl.Report, error) {
	if c.kernel == nil {
		return nil, nil
	}
	list, err := c.kernel.Status()
	if err != nil {
		return nil, err
	}
	c.abouts.Learn(list)
	of := map[int][]lpnl.Report{}
	for _, r := range list {
		of[r.PID] = append(of[r.PID], r)
	}
	return of, nil
}

// sameRecords tells whether nothing was done to a process between two answers of the kernel.
func sameRecords(a, b []lpnl.Report) bool {
	return slices.EqualFunc(a, b, func(x, y lpnl.Report) bool {
		return x.Hash == y.Hash && x.State == y.State && x.Since.Equal(y.Since) && x.MappedAt == y.MappedAt && x.Layer == y.Layer
	})
}

func (c *scanner) lookAt(list []proc.Process, records map[int][]lpnl.Report) []sight {
	c.of = records
	out := make([]sight, len(list))
	proc.Each(len(list), func(i int) { out[i] = c.sight(list[i]) })
	return out
}

// take adds what was seen in a process, unless that has ended.
func (c *scanner) take(out *Scan, t proc.Process, seen sight) {
	if seen.err != nil {
		if !c.proc.Ended(t, seen.err) {
			out.Unseen = append(out.Unseen, seen.err)
		}
		return
	}
	out.Processes++
	out.Findings = append(out.Findings, seen.findings...)
	out.Displaced = append(out.Displaced, seen.displaced...)
	if seen.live != nil {
		out.Live = append(out.Live, *seen.live)
	}
	if seen.unread != nil {
		out.Unseen = append(out.Unseen, seen.unread)
	}
}

// finish counts the files, and brings the findings into an order.
func (c *scanner) finish(out *Scan) {
	for _, concerned := range c.files {
		out.Files++
		if !concerned {
			out.Others++
		}
	}
	slices.SortStableFunc(out.Findings, func(a, b Finding) int {
		if n := strings.Compare(a.Service, b.Service); n != 0 {
			return n
		}
		return a.Process.PID - b.Process.PID
	})
}

// sight looks at one process.
func (c *scanner) sight(t proc.Process) sight {
	v := c.view(t)
	list, err := v.files()
	if err != nil {
		return sight{err: err}
	}
	var out sight
	matched := make([][]*candidate, len(c.patches))
	known := map[proc.FileID]bool{} // files that a patch is for
	for i, p := range c.patches {
		matched[i] = c.images(p.Spec, v, list)
		for j, found := range matched[i] {
			if found != nil && p.changes(j) {
				known[found.file] = true
			}
		}
	}
	for i, p := range c.patches {
		if f := c.finding(p, v, list, matched[i], known); f != nil {
			f.Patch, f.patch, f.images = p.Spec, p, matched[i]
			out.findings = append(out.findings, *f)
		}
	}
	out.live = c.live(v, list, out.findings)
	out.findings, out.displaced = withoutSuperseded(out.findings)
	if len(out.findings) > 0 {
		if now, err := c.proc.Process(t.PID); err != nil || life(now) != life(t) { // another one may have its pid
			return sight{err: &proc.Error{Message: fmt.Sprintf("%v ended meanwhile", t), Err: proc.ErrNoProcess}}
		}
		service := serviceOf(c.proc, t)
		if out.live != nil {
			out.live.Service = service
		}
		for _, list := range [][]Finding{out.findings, out.displaced} {
			for i := range list {
				list[i].Process, list[i].Service = t, service
			}
		}
	}
	c.noteFiles(list, known)
	out.unread = unread(t, list)
	return out
}

// noteFiles counts files.
func (c *scanner) noteFiles(list []candidate, known map[proc.FileID]bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, f := range list {
		if f.known() && !f.id.patch && len(c.files) < maxKnown {
			c.files[f.file] = c.files[f.file] || known[f.file]
		}
	}
}

// finding tells how a process stands with a patch, nil if the patch does not concern it.
func (c *scanner) finding(p *ScanPatch, v *view, list []candidate, images []*candidate, known map[proc.FileID]bool) *Finding {
	for i, found := range images {
		if found != nil && p.changes(i) {
			f := c.concerned(p, v, images, found)
			if f.State == ScanPatched && p.hasTwin(images, list) {
				f = &Finding{State: ScanNotPatchable, Why: "it maps another file of the same build, too, and a patch is for one of them; restart it"}
			}
			f.Path, f.BuildID = found.mapping.Path, found.id.buildID
			return f
		}
	}
	for _, image := range changed(p.Spec) {
		like := alike(image, list)
		if like == nil || !like.known() || known[like.file] {
			continue
		}
		f := c.otherBuild(p, image, v, like)
		f.Path, f.BuildID = like.mapping.Path, like.id.buildID
		return f
	}
	return nil
}

// hasTwin tells whether a process maps another file, too, of the build of one that the patch changes.
func (p *ScanPatch) hasTwin(images []*candidate, list []candidate) bool {
	for i, image := range images {
		if image != nil && p.changes(i) && slices.ContainsFunc(list, func(o candidate) bool {
			return o.known() && !o.file.IsFile(image.file) && o.id.is(&p.Spec.Images[i])
		}) {
			return true
		}
	}
	return false
}

// otherBuild is the finding of a process that maps a file of an image's name, which is another one.
func (c *scanner) otherBuild(p *ScanPatch, image *patch.Image, v *view, like *candidate) *Finding {
	if len(image.BuildID) > 0 && bytes.Equal(like.id.buildID, bake.BuildID(image.BuildID, p.sum)) {
		return &Finding{State: ScanPatched, Why: "the patch was put into the file"}
	}
	if disk := c.onDisk(v, like); disk != nil {
		return &Finding{State: ScanOldInMemory, Other: true, OnDisk: disk.String(), Why: "the file was replaced, and no patch is for the one in memory; restart it"}
	}
	return &Finding{State: ScanUnknown, Other: true, Why: "no patch is for its " + like.id.String()}
}

// concerned is the finding of a process that maps a file which a patch changes.
func (c *scanner) concerned(p *ScanPatch, v *view, images []*candidate, found *candidate) *Finding {
	has := c.of[v.PID]
	f := &Finding{State: ScanNotPatchable}
	if i := slices.Index(images, nil); i >= 0 {
		f.State, f.Why = c.lacks(p, i)
		f.fits = f.State == ScanPatchable
		return f
	}
	o, err := c.object(p.PatchFile, v.PID, images)
	if err != nil {
		f.Why = fmt.Sprintf("what it maps cannot be opened: %v", strings.ReplaceAll(err.Error(), fmt.Sprintf(" as process %d maps it", v.PID), ""))
		return f
	}
	o.close()
	row := standing(p.Spec.Name, v.Process, o.patch.Hash, has)
	if row.Agrees {
		return &Finding{State: ScanPatched, Active: row.Active}
	}
	if by, active := c.supersededBy(p, has); by != nil && covers(by.Spec, p.Spec) {
		return &Finding{State: ScanPatched, By: by.Spec, Active: active, Why: "by " + by.Spec.Name + ", which supersedes it"}
	} else if by != nil {
		f.Why = halfSuperseded(by.Spec.Name)
		return f
	}
	if f.Why = c.obstacle(p, o.patch.Hash, row, has); f.Why != "" {
		return f
	}
	f.State, f.Why, f.fits = ScanPatchable, remark(row), true
	if disk := c.onDisk(v, found); disk != nil {
		f.OnDisk = disk.String()
		if by := c.patchFor(disk); by != "" {
			f.Why = "the file was replaced by one that has the same to be patched: " + by
		} else {
			f.State, f.Why = ScanOldInMemory, "the file was replaced; restart it, or patch it"
		}
	}
	return f
}

// remark is what is to be known of a process that can be patched.
func remark(row *Standing) string {
	switch {
	case row.older != nil:
		return "another version of the patch is applied"
	case row.State == lpnl.StateDrifted:
		return "the program has changed what the patch did to it"
	case row.State != lpnl.StateNone:
		return fmt.Sprintf("the patch is %v, not applied", row.State)
	}
	return ""
}

// lacks tells why a patch cannot be applied where an image is not mapped.
func (c *scanner) lacks(p *ScanPatch, image int) (ScanState, string) {
	im := &p.Spec.Images[image]
	for _, u := range p.Spec.Upon {
		if u.Image != image {
			continue
		}
		if slices.ContainsFunc(c.patches, func(o *ScanPatch) bool { return bytes.Equal(o.buildID, im.BuildID) }) {
			return ScanPatchable, "apply " + u.Name + " first"
		}
		return ScanNotPatchable, fmt.Sprintf("it is built upon patch %s (%s), which is not applied, nor among the patches here", u.Name, describe(im.BuildID, im.SHA256))
	}
	return ScanNotPatchable, fmt.Sprintf("it does not map %s (%s), which the patch refers to", label(im), describe(im.BuildID, im.SHA256))
}

// obstacle is why a patch that fits cannot be applied as things are, or "".
func (c *scanner) obstacle(p *ScanPatch, hash lpnl.Hash, row *Standing, has []lpnl.Report) string {
	if c.required && !p.signed {
		return "the kernel requires patches to be signed, and this one is not; see signed-patches.md"
	}
	for _, r := range has {
		if r.Hash == hash && row.State == lpnl.StateDrifted && (r.Refusal == lpnl.RefusalPatchMissing || r.Refusal == lpnl.RefusalImageMoved) {
			return "the program has unmapped what the patch needs; lpctl restore and lpctl unload clean up"
		}
		other := c.abouts.known[r.Hash]
		if r.Hash == hash || !effective(r.State) || other == nil || p.isUpon(r.Patch) ||
			takesPlaceOf(p.Spec, other) {
			continue
		}
		if clash, _ := patch.Collision(p.Spec, other.Spec); clash != "" {
			return clash + ", and that is applied; build one patch of both fixes, or apply this one with --replace"
		}
	}
	return ""
}

// onDisk is what is at the path of a file by now that was deleted, nil if that is the same build, or there is none, or it is not known.
func (c *scanner) onDisk(v *view, found *candidate) *identity {
	if !found.mapping.Deleted || v.tooSlow() != nil {
		return nil
	}
	f, err := c.proc.FindPath(v.PID, found.mapping.Path)
	if v.note(err) != nil {
		return nil
	}
	defer f.Close()
	id, err := c.identity(f)
	if v.note(err) != nil || id.other || len(id.buildID) == 0 || bytes.Equal(id.buildID, found.id.buildID) {
		return nil
	}
	return &id
}

// patchFor names a patch that changes a file of this build.
func (c *scanner) patchFor(id *identity) string {
	for _, p := range c.patches {
		if slices.ContainsFunc(changed(p.Spec), id.is) {
			return p.Spec.Name
		}
	}
	return ""
}
