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

// maxAboutTries is how often a patch is tried to be read that targets do not let be read: of a status, in so many of each user's.
const maxAboutTries = 3

// Abouts has what the patches in targets are for. The kernel does not know that: it is in the file, which targets have mapped.
type Abouts struct {
	proc  proc.FS
	known map[lpnl.Hash]*PatchFile // without what they have in them, and without fix-ups, of which there may be many
	tries map[lpnl.Hash]int
}

// NewAbouts returns one that knows nothing yet.
func NewAbouts(fs proc.FS) *Abouts {
	return &Abouts{proc: fs, known: map[lpnl.Hash]*PatchFile{}, tries: map[lpnl.Hash]int{}}
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

func (a *Abouts) keep(hash lpnl.Hash, f *PatchFile) {
	small := *f.Spec
	small.Fixups = nil
	a.known[hash] = &PatchFile{Spec: &small, buildID: f.buildID, sum: f.sum}
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
		a.learn(slices.DeleteFunc(list, func(r lpnl.Report) bool { return r.Hash != event.Hash }))
	}
}

// Learn reads the patches of a status. What a target maps there now may be another file, so one counts only if its name in the
// kernel, a hash, is that of the patch.
func (a *Abouts) Learn(status []lpnl.Report) {
	tried := map[lpnl.Hash]bool{}
	for _, r := range status {
		tried[r.Hash] = a.Wants(r.Hash)
	}
	a.learn(slices.DeleteFunc(slices.Clone(status), func(r lpnl.Report) bool { return !tried[r.Hash] }))
	for hash, is := range tried {
		if is {
			a.tries[hash]++
		}
	}
}

// learn asks one target of each patch first, and then one of each user's, at a time: nobody's processes can keep those of others
// from telling.
func (a *Abouts) learn(status []lpnl.Report) {
	s := New(nil, a.proc) // which asks no kernel
	status = a.round(s, status, func(int) string { return "" })
	for range maxAboutTries {
		status = a.round(s, status, a.proc.Owner)
	}
}

// round asks one target of each patch that is not known yet and of each user, and returns a status of the others.
func (a *Abouts) round(s *Session, status []lpnl.Report, user func(pid int) string) (rest []lpnl.Report) {
	type share struct {
		hash lpnl.Hash
		user string
	}
	asked := map[share]bool{}
	var list []lpnl.Report
	for _, r := range status {
		if r.MappedAt == 0 || a.known[r.Hash] != nil {
			continue
		}
		if of := (share{r.Hash, user(r.PID)}); !asked[of] {
			asked[of], list = true, append(list, r)
		} else {
			rest = append(rest, r)
		}
	}
	found := make([]*PatchFile, len(list))
	proc.Each(len(list), func(i int) { found[i], _ = s.reported(list[i]) })
	for i, f := range found {
		if f != nil {
			a.keep(list[i].Hash, f)
		}
	}
	return rest
}

// reported reads a report's patch where its target has mapped that.
func (s *Session) reported(r lpnl.Report) (*PatchFile, error) {
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
	if err := s.vouch(f, v, r); err != nil {
		return nil, err
	}
	return f, nil
}

// vouch finds out whether a patch that a target maps is the one of a report: by the kernel's name of that, a hash of the file.
func (s *Session) vouch(f *PatchFile, v *view, r lpnl.Report) error {
	images, err := s.match(f.Spec, v)
	if err != nil {
		return err
	}
	o, err := s.object(f, v.PID, images)
	if err != nil {
		return err
	}
	defer o.close()
	if o.patch.Hash != r.Hash {
		return fmt.Errorf("what %v maps at %#x is not the patch %s", v, r.MappedAt, r.Patch)
	}
	return nil
}
