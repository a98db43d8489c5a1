// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cavaliergopher/cpio"
)

// addLibraries adds what the ELF files in the tree need to run: their interpreters and all shared libraries, found the way
// ld.so will find them in the guest, but without running anything. What is in the tree already is taken before what the host has.
func (t tree) addLibraries() error {
	r := depResolver{tree: t, seen: map[string]bool{}}
	paths := slices.Sorted(maps.Keys(t))
	// Programs first: a library may be found only by the way of the program that needs it.
	for _, programs := range []bool{true, false} {
		for _, path := range paths {
			if n := t[path]; n.host != "" && !r.seen[path] && isProgram(n.host) == programs {
				if err := r.visit(n.host, path, nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func isProgram(path string) bool {
	f := openELF(path)
	if f == nil {
		return false
	}
	defer f.Close()
	return interpreter(f) != ""
}

// depResolver adds libraries to a tree. What was seen is known by its path in the guest.
type depResolver struct {
	tree tree
	seen map[string]bool
}

// searchDir is where to look for libraries: in the guest, and on the host for what it would be there.
type searchDir struct{ host, guest string }

// visit adds what a file needs. runpaths are the RPATHs of the files that led here, which apply to it too.
func (r *depResolver) visit(host, guest string, runpaths []searchDir) error {
	if r.seen[canonical(guest)] {
		return nil
	}
	r.seen[canonical(guest)] = true
	f := openELF(host)
	if f == nil {
		return nil
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil
	}

	interp := interpreter(f)
	if interp != "" {
		if err := r.add(interp, interp, nil); err != nil {
			return err
		}
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return nil // no readable dynamic section: nothing that ld.so could look for either
	}
	dirs := append(searchDirs(f, host, guest), runpaths...)
	for _, name := range needed {
		if name == "libc.so" && strings.HasPrefix(filepath.Base(interp), "ld-musl-") {
			continue // musl's dynamic linker is its libc
		}
		from, to := r.findLibrary(name, dirs, f.Class)
		if from == "" {
			return fmt.Errorf("%s needs %s, which is neither on this machine nor among the files for the guest", host, name)
		}
		if err := r.add(from, to, dirs); err != nil {
			return err
		}
	}
	return nil
}

// openELF gives nil for what is no ELF file, or a damaged one: tests copy such files into the guest on purpose.
func openELF(path string) (f *elf.File) {
	defer func() {
		if recover() != nil { // debug/elf promises nothing for hostile input
			f = nil
		}
	}()
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	return f
}

// add adds a library or an interpreter, unless it is in the tree, and what it needs.
func (r *depResolver) add(host, guest string, runpaths []searchDir) error {
	if n := r.tree.follow(guest); n.host != "" {
		host = n.host
	} else if err := r.tree.addHost(host, guest); err != nil {
		return err
	}
	// glibc opens this one by itself when a thread is cancelled or a backtrace is taken.
	if filepath.Base(guest) == "libc.so.6" {
		if lib := ifExists(filepath.Join(filepath.Dir(host), "libgcc_s.so.1")); lib != "" {
			if err := r.add(lib, lib, nil); err != nil {
				return err
			}
		}
	}
	return r.visit(host, guest, runpaths)
}

// follow finds what stands at a guest path, by way of links.
func (t tree) follow(path string) node {
	const most = 40 // as in the kernel
	for range most {
		path = canonical(path)
		n := t[path]
		if n.mode&cpio.ModeType != cpio.TypeSymlink {
			return n
		}
		target := string(n.data)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return node{}
}

func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			data := make([]byte, p.Filesz)
			if _, err := p.ReadAt(data, 0); err == nil {
				return string(bytes.TrimRight(data, "\x00"))
			}
		}
	}
	return ""
}

// searchDirs lists the directories that the file itself names, with $ORIGIN replaced.
func searchDirs(f *elf.File, host, guest string) []searchDir {
	var dirs []searchDir
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, _ := f.DynString(tag) // no such entry is the usual case
		for _, v := range values {
			for _, dir := range filepath.SplitList(v) {
				dirs = append(dirs, searchDir{withOrigin(dir, host), withOrigin(dir, guest)})
			}
		}
	}
	return dirs
}

func withOrigin(dir, path string) string {
	origin := filepath.Dir(path)
	return strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
}

// findLibrary looks where ld.so does, in its order, and gives the host's file and its path in the guest, or "" if the library is
// nowhere.
func (r *depResolver) findLibrary(name string, dirs []searchDir, class elf.Class) (host, guest string) {
	var places []searchDir
	if strings.Contains(name, "/") {
		places = []searchDir{{name, name}}
	} else {
		for _, dir := range dirs {
			places = append(places, searchDir{filepath.Join(dir.host, name), filepath.Join(dir.guest, name)})
		}
		for _, path := range defaultPlaces(name) {
			places = append(places, searchDir{path, path})
		}
	}
	for _, p := range places {
		if n := r.tree.follow(p.guest); n.host != "" && isClass(n.host, class) {
			return n.host, p.guest
		}
		if isClass(p.host, class) {
			return p.host, p.guest
		}
	}
	// Where the guest looks may be for the script to say: LD_LIBRARY_PATH.
	for _, path := range slices.Sorted(maps.Keys(r.tree)) {
		if n := r.tree.follow(path); filepath.Base(path) == name && n.host != "" && isClass(n.host, class) {
			return n.host, path
		}
	}
	return "", ""
}

// defaultPlaces are where a library may be that no file names a directory for.
func defaultPlaces(name string) []string {
	var places []string
	for _, dir := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		places = append(places, filepath.Join(dir, name))
	}
	places = append(places, ldCache()[name]...)
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		places = append(places, filepath.Join(dir, name))
	}
	return places
}

func isClass(path string, class elf.Class) bool {
	f := openELF(path)
	if f == nil {
		return false
	}
	defer f.Close()
	return f.Class == class
}

// ldCache is ld.so's own table of libraries, as `ldconfig -p` prints it: soname to files, best first.
var ldCache = sync.OnceValue(func() map[string][]string {
	table := map[string][]string{}
	ldconfig := "/sbin/ldconfig" // seldom in the PATH of anyone but root
	out, err := exec.Command(ldconfig, "-p").Output()
	if err != nil {
		return table // the default directories are tried after it
	}
	for line := range strings.Lines(string(out)) {
		left, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if name, _, _ := strings.Cut(left, " "); ok {
			table[name] = append(table[name], path)
		}
	}
	return table
})
