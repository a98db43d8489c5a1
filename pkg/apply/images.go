package apply

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// inode names a file in /proc/PID/maps.
type inode struct {
	dev string
	ino uint64
}

// candidate is a file that a process maps executable.
type candidate struct {
	mapping proc.Mapping
	id      identity
	known   bool // id is valid: it is an ELF file that could be read
}

// mayBePatch tells whether it is a patch, as far as is known.
func (c candidate) mayBePatch() bool { return c.id.patch || !c.known && !c.id.other }

func (c candidate) inode() inode { return inode{c.mapping.Dev, c.mapping.Inode} }

// identified returns the files that a process maps executable, each once.
func (s *Session) identified(pid int, maps []proc.Mapping) ([]candidate, error) {
	var list []candidate
	seen := map[inode]bool{}
	for _, m := range maps {
		key := inode{m.Dev, m.Inode}
		if !m.Exec || m.Inode == 0 || seen[key] {
			continue
		}
		seen[key] = true
		id, known, err := s.identity(pid, m)
		if err != nil {
			return nil, err
		}
		list = append(list, candidate{mapping: m, id: id, known: known})
	}
	return list, nil
}

// identity identifies a mapped file; a Session reads each file once. An error is about permission only.
func (s *Session) identity(pid int, m proc.Mapping) (identity, bool, error) {
	key := inode{m.Dev, m.Inode}
	if id, ok := s.known[key]; ok {
		return id, true, nil
	}
	f, err := s.proc.OpenMapping(pid, m)
	if errors.Is(err, os.ErrPermission) {
		return identity{}, false, fmt.Errorf("not permitted to open the files of process %d; run lpctl as root", pid)
	}
	if err != nil { // unmapped meanwhile, or no regular file
		return identity{}, false, nil
	}
	defer f.Close()
	id, err := identify(f)
	if err != nil {
		var malformed *elf.FormatError
		return identity{other: errors.As(err, &malformed)}, false, nil
	}
	s.known[key] = id
	return id, true, nil
}

// match finds the mapping of each image of a patch in a process. The error is an *lpnl.Refused when one is not there.
func (s *Session) match(spec *patch.Spec, v *view) ([]proc.Mapping, error) {
	list, err := v.files()
	if err != nil {
		return nil, err
	}
	found := make([]proc.Mapping, len(spec.Images))
	for i := range spec.Images {
		c := find(&spec.Images[i], list)
		if c == nil {
			return nil, s.missing(spec, &spec.Images[i], v.Process, list)
		}
		found[i] = c.mapping
	}
	return found, nil
}

func find(image *patch.Image, list []candidate) *candidate {
	for i := range list {
		if list[i].known && list[i].id.is(image) {
			return &list[i]
		}
	}
	return nil
}

// missing explains that a process does not map an image: as another version of the file, or not at all.
func (s *Session) missing(spec *patch.Spec, image *patch.Image, p proc.Process, list []candidate) error {
	built := describe(image.BuildID, image.SHA256)
	var text string
	what := foreign(list)
	switch c := alike(image, list); {
	case what != "":
		text = fmt.Sprintf("%v runs %s; lpatch patches 64-bit x86-64 only", p, what)
	case c != nil && !c.known:
		text = fmt.Sprintf("%v maps %s, which cannot be read, so whether it is what the patch is for (%s) is not known", p, c.mapping.Path, built)
	case c != nil:
		text = fmt.Sprintf("%v maps %s with %v, but the patch was built for %s; rebuild the patch with --target %s",
			p, c.mapping.Path, c.id, strings.TrimPrefix(built, "build-id "), s.proc.File(p.PID, c.mapping))
	default:
		text = fmt.Sprintf("%v does not map %s (%s), which the patch is for; choose a process that does", p, label(image), built)
	}
	return &lpnl.Refused{Report: lpnl.Report{
		Patch: spec.Name, PID: p.PID, Comm: p.Comm,
		Refusal: lpnl.RefusalImageMissing, Errno: syscall.ENOEXEC, Message: text,
	}}
}

// foreign says what a process runs of which all files are for another machine: the kernel maps no others into it.
func foreign(list []candidate) (what string) {
	for _, c := range list {
		if c.known && c.id.foreign == "" {
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
