package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// elfDeps lists the files that an ELF file needs to run: its interpreter and all shared libraries, found the way
// ld.so finds them but without running anything. The answer for a file that is not ELF is nothing.
func elfDeps(path string) ([]string, error) {
	r := depResolver{seen: map[string]bool{}}
	if err := r.visit(path, nil); err != nil {
		return nil, err
	}
	return r.found, nil
}

type depResolver struct {
	seen  map[string]bool
	found []string
}

// visit adds what path needs. runpaths are the RPATHs of the files that led here, which apply to it too.
func (r *depResolver) visit(path string, runpaths []string) error {
	f := openELF(path)
	if f == nil {
		return nil
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil
	}

	interp := interpreter(f)
	if interp != "" {
		if err := r.add(interp, nil); err != nil {
			return err
		}
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return nil // no readable dynamic section: nothing that ld.so could look for either
	}
	dirs := append(searchDirs(f, path), runpaths...)
	for _, name := range needed {
		if name == "libc.so" && strings.HasPrefix(filepath.Base(interp), "ld-musl-") {
			continue // musl's dynamic linker is its libc
		}
		lib := findLibrary(name, dirs, f.Class)
		if lib == "" {
			return fmt.Errorf("%s needs %s, which is not on this machine", path, name)
		}
		if err := r.add(lib, dirs); err != nil {
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

func (r *depResolver) add(path string, runpaths []string) error {
	if r.seen[path] {
		return nil
	}
	r.seen[path] = true
	r.found = append(r.found, path)
	// glibc opens this one by itself when a thread is cancelled or a backtrace is taken.
	if base := filepath.Base(path); base == "libc.so.6" {
		if lib := ifExists(filepath.Join(filepath.Dir(path), "libgcc_s.so.1")); lib != "" {
			if err := r.add(lib, nil); err != nil {
				return err
			}
		}
	}
	return r.visit(path, runpaths)
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

// searchDirs lists the folders that the file itself names, with $ORIGIN replaced.
func searchDirs(f *elf.File, path string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, _ := f.DynString(tag) // no such entry is the usual case
		for _, v := range values {
			dirs = append(dirs, filepath.SplitList(v)...)
		}
	}
	origin := filepath.Dir(path)
	for i, d := range dirs {
		dirs[i] = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(d)
	}
	return dirs
}

// findLibrary looks where ld.so does, in its order, and gives "" if the library is nowhere.
func findLibrary(name string, dirs []string, class elf.Class) string {
	if strings.Contains(name, "/") {
		return ifExists(name)
	}
	var places []string
	for _, dir := range append(dirs, filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))...) {
		places = append(places, filepath.Join(dir, name))
	}
	places = append(places, ldCache()[name]...)
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		places = append(places, filepath.Join(dir, name))
	}
	for _, path := range places {
		if f := openELF(path); f != nil {
			f.Close()
			if f.Class == class {
				return path
			}
		}
	}
	return ""
}

// ldCache is ld.so's own table of libraries, as `ldconfig -p` prints it: soname to files, best first.
var ldCache = sync.OnceValue(func() map[string][]string {
	table := map[string][]string{}
	ldconfig := "/sbin/ldconfig" // seldom in the PATH of anyone but root
	out, err := exec.Command(ldconfig, "-p").Output()
	if err != nil {
		return table // the default folders are tried after it
	}
	for line := range strings.Lines(string(out)) {
		left, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if name, _, _ := strings.Cut(left, " "); ok {
			table[name] = append(table[name], path)
		}
	}
	return table
})
