// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"slices"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// maxAboutTries is of how many targets a patch is tried to be read that the first ones do not let be read.
const maxAboutTries = 3

// Abouts has what the patches in targets are for. The kernel does not know that: it is in the file, which targets have mapped.
type Abouts struct {
	proc  proc.FS
	known map[lpnl.Hash]*File // without what they have in them, and without fix-ups, of which there may be many
	tries map[lpnl.Hash]int
}

// NewAbouts returns one that knows nothing yet.
func NewAbouts(fs proc.FS) *Abouts {
	return &Abouts{proc: fs, known: map[lpnl.Hash]*File{}, tries: map[lpnl.Hash]int{}}
}

// Of is what a patch is for, by the kernel's name of it, or nil if that is not said or not known.
func (a *Abouts) Of(hash lpnl.Hash) *patch.About {
	if f := a.known[hash]; f != nil {
		return f.Spec.About
	}
	return nil
}

// Wants tells whether there may be something to learn of a patch.
func (a *Abouts) Wants(hash lpnl.Hash) bool {
	return a.known[hash] == nil && a.tries[hash] < maxAboutTries
}

func (a *Abouts) keep(hash lpnl.Hash, f *File) {
	small := *f.Spec
	small.Fixups = nil
	a.known[hash] = &File{Spec: &small, buildID: f.buildID, sum: f.sum}
}

// LearnStore reads those patches of a status, by their names, that have boot entries: as they are kept, for the files that are on
// disk now.
func (a *Abouts) LearnStore(r boot.Registry, status ...lpnl.Report) {
	entries, _ := r.List() // lpctl boot list says what cannot be read
	for _, e := range entries {
		if !slices.ContainsFunc(status, func(r lpnl.Report) bool { return r.Patch == e.Name && a.Wants(r.Hash) }) {
			continue
		}
		kept, err := r.Patch(e)
		if err != nil {
			continue
		}
		f, err := OpenFile(kept)
		if err != nil {
			continue
		}
		if o, err := bootObject(r, e, f); err == nil {
			a.keep(o.patch.Hash, f)
			o.close()
		}
		_ = f.Close()
	}
}

// LearnEvent learns what the patch of an event is for: from the boot entries, for who listens may not be allowed to look at
// processes, or from the status.
func (a *Abouts) LearnEvent(event lpnl.Report, r boot.Registry, status func() ([]lpnl.Report, error)) {
	if !a.Wants(event.Hash) {
		return
	}
	if a.LearnStore(r, event); !a.Wants(event.Hash) {
		return
	}
	a.tries[event.Hash]++
	if list, err := status(); err == nil {
		a.Learn(slices.DeleteFunc(list, func(r lpnl.Report) bool { return r.Hash != event.Hash }))
	}
}

// Learn reads the patches of a status, each in one target. What a target maps there now may be another file, so one counts only
// if its name in the kernel, a hash, is that of the patch.
func (a *Abouts) Learn(status []lpnl.Report) {
	s := New(nil, a.proc) // which asks no kernel
	for {
		var list []lpnl.Report
		for _, r := range status {
			if r.MappedAt != 0 && a.Wants(r.Hash) && !slices.ContainsFunc(list, func(o lpnl.Report) bool { return o.Hash == r.Hash }) {
				list = append(list, r)
			}
		}
		if len(list) == 0 {
			return
		}
		status = slices.DeleteFunc(slices.Clone(status), func(r lpnl.Report) bool {
			return slices.ContainsFunc(list, func(o lpnl.Report) bool { return o.Hash == r.Hash && o.PID == r.PID })
		})
		found := make([]*File, len(list))
		proc.Each(len(list), func(i int) { found[i], _ = s.reported(list[i]) })
		for i, f := range found {
			a.tries[list[i].Hash]++
			if f != nil {
				a.keep(list[i].Hash, f)
			}
		}
	}
}

// reported reads a report's patch where its target has mapped that.
func (s *Session) reported(r lpnl.Report) (*File, error) {
	t, err := s.proc.Process(r.PID)
	if err != nil {
		return nil, err
	}
	v := s.view(t)
	maps, err := v.maps()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(maps, func(m proc.Mapping) bool { return m.Start == r.MappedAt })
	if i < 0 {
		return nil, errUnmapped
	}
	file, err := s.proc.OpenMapping(t.PID, maps[i])
	if err != nil {
		return nil, v.note(err)
	}
	defer file.Close()
	f, err := s.readMapped(v, file)
	if err != nil {
		return nil, v.note(err)
	}
	images, err := s.match(f.Spec, v)
	if err != nil {
		return nil, err
	}
	o, err := s.object(f, t.PID, images)
	if err != nil {
		return nil, err
	}
	defer o.close()
	if o.patch.Hash != r.Hash {
		return nil, fmt.Errorf("what %v maps at %#x is not the patch %s", t, r.MappedAt, r.Patch)
	}
	return f, nil
}
