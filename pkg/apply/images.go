// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// maxPasses is how often the mappings of a process that changes them meanwhile are read.
const maxPasses = 3

// candidate is a file that a process maps executable.
type candidate struct {
	mapping proc.Mapping
	file    proc.FileID
	id      identity
	err     error // why it could not be read
}

// known tells whether it is an ELF file that could be read.
func (c candidate) known() bool { return c.err == nil && !c.id.other }

// mayBePatch tells whether it is a patch, as far as is known.
func (c candidate) mayBePatch() bool { return c.id.patch || c.err != nil }

// survey is what was found out about what a process maps.
type survey struct {
	tried  map[proc.Mapping]bool
	seen   map[proc.FileID]bool
	list   []candidate
	missed *proc.Mapping // was not there any more when its turn came: unmapped, or a part of another
}

// identified returns the files that a process maps executable, each once. What it unmaps while it is looked at may be among them.
func (s *Session) identified(v *view) ([]candidate, error) {
	maps, err := v.maps()
	v.begin()
	defer v.end()
	defer v.see()
	found := survey{tried: map[proc.Mapping]bool{}, seen: map[proc.FileID]bool{}}
	for pass := 0; err == nil; pass++ {
		if err = s.survey(v, maps, &found); err != nil || found.missed == nil {
			break
		}
		if pass+1 == maxPasses {
			return append(found.list, candidate{mapping: *found.missed,
				err: errors.New("it maps and unmaps files faster than they can be looked at; try again when it is at rest")}), nil
		}
		maps, err = s.proc.Maps(v.PID)
	}
	if v.note(err) != nil {
		return nil, err
	}
	return found.list, nil
}

// survey goes on with the mappings that were not tried yet.
func (s *Session) survey(v *view, maps []proc.Mapping, found *survey) error {
	found.missed = nil
	for _, m := range maps {
		if !m.Exec || m.Inode == 0 || found.tried[m] {
			continue
		}
		if len(found.list) > maxFiles || v.over() {
			return &proc.Error{Message: fmt.Sprintf("process %d maps more files executable than lpctl looks at (%d, or as many as take %v)",
				v.PID, maxFiles, s.limits.Look), Err: os.ErrDeadlineExceeded}
		}
		f, err := s.proc.Find(v.PID, m)
		switch {
		case errors.Is(err, os.ErrPermission):
			return fmt.Errorf("not permitted to open the files of process %d; run lpctl as root", v.PID)
		case errors.Is(err, fs.ErrNotExist) && !Gone(err):
			found.missed = &m
			continue
		case err != nil:
			return err
		}
		found.tried[m] = true
		if !found.seen[f.ID] {
			found.seen[f.ID] = true
			id, err := s.identity(f)
			found.list = append(found.list, candidate{mapping: m, file: f.ID, id: id, err: err})
		}
		f.Close()
	}
	return nil
}

// maxKnown bounds the files that a Session remembers.
const maxKnown = 100000

// known are files that were identified. Processes are looked at several at a time.
type known struct {
	sync.Mutex
	files map[proc.FileID]identity
}

func (k *known) get(file proc.FileID) (identity, bool) {
	k.Lock()
	defer k.Unlock()
	id, ok := k.files[file]
	return id, ok
}

func (k *known) put(file proc.FileID, id identity) {
	k.Lock()
	defer k.Unlock()
	for any := range k.files {
		if len(k.files) < maxKnown { // who has made so many files has others forgotten, but not all of them
			break
		}
		delete(k.files, any)
	}
	k.files[file] = id
}

// identity identifies a mapped file; a Session reads each file once. Devices and the like are none.
func (s *Session) identity(f *proc.Mapped) (identity, error) {
	if id, ok := s.known.get(f.ID); ok {
		return id, nil
	}
	if !f.Regular() {
		return identity{other: true}, nil
	}
	file, err := s.proc.Open(f)
	if err != nil {
		return identity{}, err
	}
	defer file.Close()
	id, err := identify(file)
	if err == nil {
		s.known.put(f.ID, id)
	}
	return id, err
}

// open opens a file that was identified. The error is errStale if another one is there now.
func (s *Session) open(pid int, c *candidate) (*os.File, error) {
	f, err := s.proc.Find(pid, c.mapping)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.ID != c.file {
		return nil, errStale
	}
	return s.proc.Open(f)
}

// hash has the bytes of a file identify it.
func (s *Session) hash(v *view, c *candidate) error {
	v.begin()
	defer v.end()
	f, err := s.open(v.PID, c)
	if err != nil {
		return v.note(err)
	}
	defer f.Close()
	if err := c.id.hash(f, v.look); err != nil {
		return v.note(fmt.Errorf("cannot read %s as process %d maps it: %w", c.mapping.Path, v.PID, err))
	}
	s.known.put(c.file, c.id)
	return nil
}

// match finds the file of each image of a patch in a process. The error is a *Refusal when one is not there.
func (s *Session) match(spec *patch.Spec, v *view) ([]*candidate, error) {
	list, err := v.files()
	if err != nil {
		return nil, err
	}
	found := s.images(spec, v, list)
	if i := slices.Index(found, nil); i >= 0 {
		return nil, s.missing(&spec.Images[i], v.Process, list)
	}
	return found, nil
}

// images finds the file of each image of a patch, nil for one that is not there.
func (s *Session) images(spec *patch.Spec, v *view, list []candidate) []*candidate {
	found := make([]*candidate, len(spec.Images))
	for i := range spec.Images {
		found[i] = s.find(&spec.Images[i], v, list)
	}
	return found
}

// find finds the file that an image stands for, or nil.
func (s *Session) find(image *patch.Image, v *view, list []candidate) *candidate {
	for i := range list {
		c := &list[i]
		if c.known() && c.id.mustHash(image) {
			c.err = s.hash(v, c)
		}
		if c.known() && c.id.is(image) {
			return c
		}
	}
	return nil
}

// unread is why a file of a list could not be read, or nil: of an image that was not found it is not known whether it is there.
func unread(t proc.Process, list []candidate) error {
	for _, c := range list {
		if c.err != nil {
			return fmt.Errorf("%v: %w", t, c.err)
		}
	}
	return nil
}

// missing explains that a process does not map an image: as another version of the file, or not at all.
func (s *Session) missing(image *patch.Image, p proc.Process, list []candidate) error {
	built := describe(image.BuildID, image.SHA256)
	var text string
	what := foreign(list)
	switch c := alike(image, list); {
	case what != "":
		text = fmt.Sprintf("%v runs %s; lpatch patches 64-bit x86-64 only", p, what)
	case c != nil && c.err != nil:
		text = fmt.Sprintf("whether %v maps what the patch is for (%s) is not known: %v", p, built, c.err)
	case c != nil && c.id.other:
		text = fmt.Sprintf("%v maps %s, which is no ELF file, and the patch was built for %s; choose another process", p, c.mapping.Path, built)
	case c != nil:
		text = fmt.Sprintf("%v maps %s with %v, but the patch was built for %s; rebuild the patch with --target %s",
			p, c.mapping.Path, c.id, strings.TrimPrefix(built, "build-id "), s.proc.File(p.PID, c.mapping))
	case unread(p, list) != nil:
		text = fmt.Sprintf("whether %v maps %s (%s), which the patch is for, is not known: %v", p, label(image), built, unread(p, list))
	default:
		text = fmt.Sprintf("%v does not map %s (%s), which the patch is for; choose a process that does", p, label(image), built)
	}
	return &Refusal{Code: lpnl.RefusalImageMissing, Message: text}
}

// foreign says what a process runs of which all files are for another machine: the kernel maps no others into it.
func foreign(list []candidate) (what string) {
	for _, c := range list {
		if c.known() && c.id.foreign == "" {
			return ""
		}
		if what == "" {
			what = c.id.foreign
		}
	}
	return what
}

// alike finds the file that has the name of an image, also if it could not be read.
func alike(image *patch.Image, list []candidate) *candidate {
	for i, c := range list {
		base := filepath.Base(c.mapping.Path)
		if base == image.Name || image.Soname != "" && base == image.Soname {
			return &list[i]
		}
	}
	return nil
}

// label names an image in messages.
func label(image *patch.Image) string {
	if image.Soname != "" {
		return image.Soname
	}
	return image.Name
}
