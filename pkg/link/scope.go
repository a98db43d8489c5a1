// SPDX-License-Identifier: GPL-2.0

package link

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// Scope is where the dynamic linker looks for what an image does not define: the programs among the named files, then
// the libraries that the image needs and that those need, breadth first (gABI "Shared Object Dependencies"), then the
// other named files.
type Scope struct {
	im    *image.Image
	paths []string // files and directories that a person named

	libs    []*image.Image
	missing []string // "libx.so.1, which prog needs"
	err     error
	read    bool

	named       []*image.Image  // read from paths
	directories []string        // of paths
	seen        map[string]bool // names of libs
}

// NewScope names files, or directories of them, that are the libraries of an image; those that it needs and that are not among them
// are searched where the dynamic linker of this machine would. They are read only when new code refers to a symbol that the
// image does not import. The error is about a path that does not exist.
func NewScope(im *image.Image, paths []string) (*Scope, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return nil, err
		}
	}
	return &Scope{im: im, paths: paths}, nil
}

// systemDirectories are searched by every dynamic linker of x86-64 that is known to us, after those of /etc/ld.so.conf.
var systemDirectories = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// load reads the libraries, once.
func (s *Scope) load() error {
	if !s.read {
		s.read = true
		s.err = s.readAll()
	}
	return s.err
}

func (s *Scope) readAll() error {
	if err := s.readNamed(); err != nil {
		return err
	}
	var first, last []*image.Image
	for _, lib := range s.named {
		if lib.Shared() {
			last = append(last, lib)
		} else {
			first = append(first, lib)
		}
	}
	s.seen = map[string]bool{}
	if err := s.walk(append(first, s.im)); err != nil {
		return err
	}
	return s.walk(last)
}

// readNamed reads the files that a person named.
func (s *Scope) readNamed() error {
	for _, p := range s.paths {
		st, err := os.Stat(p)
		if err != nil {
			return err
		}
		if st.IsDir() {
			s.directories = append(s.directories, p)
			continue
		}
		lib, err := image.Open(p, "")
		if err != nil {
			return err
		}
		s.named = append(s.named, lib)
	}
	return nil
}

// walk adds libraries and what they need, breadth first.
func (s *Scope) walk(queue []*image.Image) error {
	for _, lib := range queue {
		s.seen[lib.LibraryName()] = true
	}
	for ; len(queue) > 0; queue = queue[1:] {
		lib := queue[0]
		if lib != s.im {
			s.libs = append(s.libs, lib)
		}
		for _, name := range lib.Needed() {
			if s.seen[name] {
				continue
			}
			s.seen[name] = true
			found, err := s.find(name, lib)
			if err != nil {
				return err
			}
			if found != nil {
				queue = append(queue, found)
			}
		}
	}
	return nil
}

// find reads the library of a name that lib needs; nil if it is not there, which is noted.
func (s *Scope) find(name string, lib *image.Image) (*image.Image, error) {
	i := slices.IndexFunc(s.named, func(n *image.Image) bool { return n.LibraryName() == name })
	if i >= 0 {
		return s.named[i], nil
	}
	directories, base := slices.Concat(s.directories, lib.RunPath(), configuredDirectories("/etc/ld.so.conf"), systemDirectories), name
	if strings.Contains(name, "/") {
		directories, base = []string{filepath.Dir(name)}, filepath.Base(name)
	}
	for _, dir := range directories {
		// As the dynamic linker does, pass over what is not there and what is for another machine.
		if f, err := lpelf.Open(filepath.Join(dir, base)); err == nil {
			return image.New(f, nil)
		}
	}
	s.missing = append(s.missing, fmt.Sprintf("%s, which %s needs", name, lib.LibraryName()))
	return nil, nil
}

// configuredDirectories reads the directories of an ld.so.conf and of what it includes (ldconfig(8)); what cannot be read has
// none.
func configuredDirectories(conf string) []string {
	data, err := os.ReadFile(conf)
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "include":
			pattern := words[1]
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(conf), pattern)
			}
			files, err := filepath.Glob(pattern)
			if err != nil {
				continue
			}
			for _, f := range files {
				if f != conf {
					out = append(out, configuredDirectories(f)...)
				}
			}
		case len(words) == 1 && filepath.IsAbs(words[0]):
			out = append(out, words[0])
		}
	}
	return out
}

// lookup finds the first library that defines a symbol: its default version, or exactly the version that is asked for.
// If there is none, it returns the versions that only older programs may use.
func (s *Scope) lookup(name, version string) (lib *image.Image, sym *lpelf.Symbol, old []string) {
	for _, l := range s.libs {
		for _, d := range l.Definitions(name) {
			switch {
			case version == "" && !d.Hidden, version != "" && d.Version == version:
				return l, d, nil
			case version == "":
				old = append(old, l.LibraryName()+" "+d.Version)
			}
		}
	}
	return nil, nil, old
}

// Library names a library that the image uses and that defines a symbol; "" if none of those that are there does.
func (s *Scope) Library(name string) string {
	if s.im.Static() || s.load() != nil {
		return ""
	}
	if lib, _, _ := s.lookup(name, ""); lib != nil {
		return lib.LibraryName()
	}
	return ""
}
