// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"lpatch/pkg/bake"
	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// Disk is what the file system has of the files that a boot entry is for.
type Disk string

// What it has.
const (
	DiskCurrent    Disk = "current"    // what the patch is for
	DiskSuperseded Disk = "superseded" // another version
	DiskBaked      Disk = "baked"      // what boot bake made with this patch
	DiskMissing    Disk = "missing"    // a file is not there
)

// Standing is how things stand with one patch: with its boot entry, if Process is the zero value, or in one process.
type Standing struct {
	Patch      string
	Process    proc.Process
	Kept       bool // there is a boot entry
	Disabled   bool // it is not to be registered, after too many boots that failed
	Disk       Disk // "" if there is no entry
	Registered bool // the kernel applies the patch to what starts
	Elsewhere  bool // it does so for another file than the one that is there now
	State      lpnl.State
	Active     int    // threads that are in code from before the patch came into that state
	Agrees     bool   // there is nothing to do
	Done       string // what Fix did
	Err        error  // why Fix could not

	entry *syncEntry
	older *lpnl.Hash // another patch of that name, which is applied and not covered by this one
}

// syncEntry is a boot entry with what is known of it.
type syncEntry struct {
	*boot.Entry
	file *PatchFile
	hash lpnl.Hash // of the object for the files on disk, if they are current
}

// Comparison is the registry, the disk, the kernel and all processes, one against the other.
type Comparison struct {
	Rows     []*Standing
	Unseen   []error // of processes that could not be looked at: whether they have what they should is not known
	session  *Session
	kernel   BootKernel
	registry boot.Registry
	entries  []*syncEntry
	replaced []string // entries of which Fix registered another one in the place
	disabled func(*boot.Entry) error
}

// Compare looks at everything. disabled returns a *boot.Disabled for an entry that is not to be registered. The errors are
// of entries that cannot be read, and of what could not be looked at; all else is compared nevertheless. The caller must
// Close the comparison.
func (s *Session) Compare(k BootKernel, r boot.Registry, disabled func(*boot.Entry) error) (*Comparison, []error) {
	entries, errs := r.List()
	c, more := s.CompareEntries(k, r, entries, disabled)
	errs = append(errs, more...)
	if err := c.addProcesses(entries); err != nil {
		errs = append(errs, err)
	}
	return c, errs
}

// CompareEntries is Compare without the processes: it has a row for each of these entries of the registry, and for each
// other patch that the kernel applies to what starts.
func (s *Session) CompareEntries(k BootKernel, r boot.Registry, entries []*boot.Entry, disabled func(*boot.Entry) error) (*Comparison, []error) {
	c := &Comparison{session: s, kernel: k, registry: r, disabled: disabled}
	boots, err := k.Boots()
	if err != nil {
		return c, []error{err}
	}
	var errs []error
	for _, e := range entries {
		row := &Standing{Patch: e.Name, Kept: true}
		c.Rows = append(c.Rows, row)
		if err := c.compareEntry(row, e, boots); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	c.addUnkept(entries, boots)
	return c, errs
}

// Close closes the patch files.
func (c *Comparison) Close() {
	for _, e := range c.entries {
		_ = e.file.Close()
	}
}

// Agrees tells whether there is nothing to do, as far as can be seen.
func (c *Comparison) Agrees() bool {
	return !slices.ContainsFunc(c.Rows, func(r *Standing) bool { return !r.Agrees })
}

// compareEntry completes the row of an entry. Of one that could not be looked at the row has no entry, and only what the
// kernel has by that name.
func (c *Comparison) compareEntry(row *Standing, e *boot.Entry, boots []lpnl.Boot) error {
	row.Registered = slices.ContainsFunc(boots, func(b lpnl.Boot) bool { return b.Patch == e.Name })
	var off *boot.Disabled
	if err := c.disabled(e); errors.As(err, &off) {
		row.Disabled = true
	} else if err != nil {
		return err
	}
	kept, err := c.registry.Patch(e)
	if err != nil {
		return err
	}
	f, err := OpenFile(kept)
	if err != nil {
		return err
	}
	entry := &syncEntry{Entry: e, file: f}
	c.entries = append(c.entries, entry)
	if row.Disk, err = diskOf(c.registry, e, f); err != nil {
		return err
	}
	if row.Disk == DiskCurrent {
		o, err := bootObject(c.registry, e, f)
		if err != nil {
			return err
		}
		entry.hash = o.patch.Hash
		o.close()
	}
	row.entry, row.Registered = entry, false
	others := false
	for _, b := range boots {
		switch {
		case b.Patch != e.Name:
		case b.Hash == entry.hash && b.Flags == flagsOf(e):
			row.Registered = true
		default:
			others = true // of another file, or with another answer to failure
			row.Elsewhere = row.Elsewhere || b.Hash != entry.hash
		}
	}
	// Where the file is another one by now, what the kernel has is for the old one. That matters only to who starts a
	// program from the old one, and should have it patched, so it stays.
	row.Agrees = row.Disk != DiskCurrent || row.Registered == row.wanted() && !others
	return nil
}

// wanted tells whether the entry is to be registered.
func (r *Standing) wanted() bool { return r.Kept && !r.Disabled && r.Disk == DiskCurrent }

// diskOf compares the files at an entry's paths with what its patch is for.
func diskOf(r boot.Registry, e *boot.Entry, f *PatchFile) (Disk, error) {
	if len(e.Images) != len(f.Spec.Images) {
		return "", fmt.Errorf("the boot entry names %d images, its patch has %d", len(e.Images), len(f.Spec.Images))
	}
	disk := DiskCurrent
	for i := range e.Images {
		image := &f.Spec.Images[i]
		id, err := identifyAt(r, e.Images[i].Path, image)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return DiskMissing, nil
		case err != nil:
			return "", err
		case id.is(image):
		case len(image.BuildID) > 0 && bytes.Equal(id.buildID, bake.BuildID(image.BuildID, f.sum)):
			disk = DiskBaked
		default:
			return DiskSuperseded, nil
		}
	}
	return disk, nil
}

// addUnkept adds what the kernel has and the registry does not.
func (c *Comparison) addUnkept(entries []*boot.Entry, boots []lpnl.Boot) {
	for _, b := range boots {
		if !named(entries, b.Patch) {
			c.Rows = append(c.Rows, &Standing{Patch: b.Patch, Registered: true})
		}
	}
}

func named(entries []*boot.Entry, name string) bool {
	return slices.ContainsFunc(entries, func(e *boot.Entry) bool { return e.Name == name })
}

// addProcesses adds a row for each process and each patch that it has or should have.
func (c *Comparison) addProcesses(entries []*boot.Entry) error {
	every, unseen, err := c.session.proc.Select(func(proc.Process) (bool, error) { return true, nil })
	if err != nil {
		return err
	}
	// After the list, so that a process that is started patched meanwhile is seen as what it is.
	if err := c.session.look(); err != nil {
		return err
	}
	has := map[int][]lpnl.Report{}
	for _, r := range c.session.Recount(c.session.seen.all) {
		has[r.PID] = append(has[r.PID], r)
	}
	c.Unseen = unseen
	rows, errs := make([][]*Standing, len(every)), make([]error, len(every))
	proc.Each(len(every), func(i int) { rows[i], errs[i] = c.process(every[i], has[every[i].PID]) })
	for i, t := range every {
		c.Rows = append(c.Rows, rows[i]...)
		for _, r := range has[t.PID] { // which the kernel tells in any case
			if !named(entries, r.Patch) {
				c.Rows = append(c.Rows, &Standing{Patch: r.Patch, Process: t, State: r.State, Active: r.ActiveThreads, Agrees: !effective(r.State)})
			}
		}
		if errs[i] != nil && !c.session.proc.Ended(t, errs[i]) {
			c.Unseen = append(c.Unseen, errs[i])
		}
	}
	return nil
}

// process compares one process. The error is why it could not be looked at: a security module may hide single processes even
// from root, and what a process maps may be what nobody but itself can read.
func (c *Comparison) process(t proc.Process, has []lpnl.Report) (rows []*Standing, err error) {
	if len(c.entries) == 0 { // it should have nothing
		return nil, nil
	}
	v := c.session.view(t)
	list, err := v.files()
	if err != nil {
		return nil, err
	}
	for _, e := range c.entries {
		images := c.session.images(e.file.Spec, v, list)
		if slices.Contains(images, nil) {
			err = unread(t, list)
			continue
		}
		o, objectErr := c.session.object(e.file, t.PID, images)
		if errors.Is(objectErr, fs.ErrNotExist) {
			continue // unmapped meanwhile
		}
		if objectErr != nil {
			return rows, objectErr
		}
		o.close()
		row := standing(e.Name, t, o.patch.Hash, has)
		row.Kept, row.entry = true, e
		rows = append(rows, row)
	}
	return rows, err
}

// standing tells how a process that should have a patch of a name stands.
func standing(name string, t proc.Process, hash lpnl.Hash, has []lpnl.Report) *Standing {
	row := &Standing{Patch: name, Process: t, State: lpnl.StateNone}
	layer := 0
	for _, r := range has {
		if r.Hash == hash {
			row.State, layer = r.State, r.Layer
		}
		// Those in the code of another version of the patch are in code from before too. One thread may be in both counts.
		if r.Patch == name {
			row.Active = max(row.Active, r.ActiveThreads)
		}
	}
	for _, r := range has {
		if r.Patch == name && r.Hash != hash && effective(r.State) && (row.State != lpnl.StateApplied || r.Layer > layer) {
			row.older = &r.Hash
		}
	}
	row.Agrees = row.State == lpnl.StateApplied && row.older == nil
	return row
}

// effective tells whether a patch has changed what a process does.
func effective(s lpnl.State) bool { return s == lpnl.StateApplied || s == lpnl.StateDrifted }

// Fix brings in line what does not agree, with the registry as what is right: entries are registered or ended, patches
// applied, reverted, or replaced.
func (c *Comparison) Fix(o lpnl.Options) {
	for _, row := range c.Rows {
		if row.Agrees || row.Kept && row.entry == nil {
			continue
		}
		switch {
		case row.Process == proc.Process{}:
			row.Done, row.Err = c.fixEntry(row)
		case !row.Kept:
			row.Done, row.Err = c.revert(row, o)
		default:
			row.Done, row.Err = c.fixProcess(row, o)
		}
		if Gone(row.Err) {
			row.Done, row.Err = "gone", nil
		}
		if row.Err != nil {
			row.Done = ""
			continue
		}
		row.Agrees = true
	}
}

func (c *Comparison) fixEntry(row *Standing) (string, error) {
	if row.wanted() && !slices.Contains(c.replaced, row.Patch) {
		row.Registered = true
		replaced, err := Register(c.kernel, c.registry, row.entry.Entry, row.entry.file)
		c.replaced = append(c.replaced, replaced...)
		return "registered", err
	}
	row.Registered = false
	_, err := Unregister(c.kernel, row.Patch)
	return "ended", err
}

// revert takes out what is not kept.
func (c *Comparison) revert(row *Standing, o lpnl.Options) (string, error) {
	out := c.session.one(job{Revert, PatchRef{Name: row.Patch}, o}, row.Process)
	var stays *Stays
	if out.Err == nil || errors.As(out.Err, &stays) {
		row.State, row.Active = out.Report.State, out.Report.ActiveThreads
	}
	return "reverted", out.Err
}

// fixProcess applies the patch, in place of another one of its name.
func (c *Comparison) fixProcess(row *Standing, o lpnl.Options) (string, error) {
	done := "applied"
	if row.older != nil {
		done = "replaced"
		o.Supersede = append(o.Supersede, *row.older) // also where the process has unmapped it
	}
	out := c.session.one(job{lpnl.VerbApply, PatchRef{File: row.entry.file, Name: row.Patch}, o}, row.Process)
	if out.Err == nil || out.Settled {
		row.State, row.Active = lpnl.StateApplied, out.Report.ActiveThreads
		return done, nil
	}
	return "", out.Err
}
