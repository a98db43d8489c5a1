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

// Scope is the lookup scope of the dynamic linker for symbols that an image does not define: the programs among the files
// named by the user, then the libraries that the image needs and their dependencies, breadth first (gABI, "Shared Object
// Dependencies"), then the other named files.
type Scope struct {
	im    *image.Image
	paths []string // files and directories named by the user

	libs    []*image.Image
	missing []string // entries such as "libx.so.1, which prog needs"
	err     error
	read    bool

	named       []*image.Image  // files read from paths
	directories []string        // directories in paths
	seen        map[string]bool // names of the libraries in libs
}

// NewScope returns the lookup scope of an image. paths names files, or directories that contain them; dependencies that are
// not among them are searched in the directories that the dynamic linker of this machine uses. Libraries are only read once
// new code refers to a symbol that the image does not import. The error concerns a path that does not exist.
func NewScope(im *image.Image, paths []string) (*Scope, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return nil, err
		}
	}
	return &Scope{im: im, paths: paths}, nil
}

// systemDirectories are the default directories of the known x86-64 dynamic linkers, searched after those of /etc/ld.so.conf.
var systemDirectories = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// load reads the libraries on first use.
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

// readNamed reads the files named by the user.
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

// walk adds libraries and their dependencies, breadth first.
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

// find reads the library called name that lib needs. It returns nil and records the name if there is none.
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
		// like the dynamic linker, skip files that do not exist or are for another machine
		if f, err := lpelf.Open(filepath.Join(dir, base)); err == nil {
			return image.New(f, nil)
		}
	}
	s.missing = append(s.missing, fmt.Sprintf("%s, which %s needs", name, lib.LibraryName()))
	return nil, nil
}

// configuredDirectories returns the directories listed in an ld.so.conf and the files that it includes (ldconfig(8)). Files
// that cannot be read are ignored.
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

// lookup returns the first library that defines a symbol, in its default version or exactly the requested version. If there
// is none, it returns the hidden versions, which only programs linked earlier may use.
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

// Library returns the name of a library used by the image that defines the symbol name, or "" if none of the available ones
// does.
func (s *Scope) Library(name string) string {
	if s.im.Static() || s.load() != nil {
		return ""
	}
	if lib, _, _ := s.lookup(name, ""); lib != nil {
		return lib.LibraryName()
	}
	return ""
}
