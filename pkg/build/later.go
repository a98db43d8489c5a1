package build

import (
	"cmp"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lpatch/pkg/lpelf"
)

// A build may change a file when it is linked, with objcopy or a program of its own: no object and no link tells that. So of each
// file with a link's name or build-id that is there when the build is done, what is loaded is compared with what was linked.

// loadedSums are the sums of a linked file's sections that are loaded, but for the build-id.
func loadedSums(f *lpelf.File) map[string]string {
	sums := map[string]string{}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || s.Name == ".note.gnu.build-id" {
			continue
		}
		sums[s.Name] = sumOf([]byte(sums[s.Name] + string(contentOf(f, s))))
	}
	return sums
}

// noteLater adds to the links of a build that is done, with its objects in a directory, what the build has changed afterwards.
func noteLater(objects, root string) error {
	dir := filepath.Join(objects, linksDir)
	records := map[string]*linkRecord{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	known := map[string]bool{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		r := &linkRecord{}
		if err := json.Unmarshal(data, r); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		records[filepath.Join(dir, e.Name())], known[r.Sum] = r, true
	}
	if len(records) == 0 {
		return nil
	}
	changed := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := linkedFile(path)
		if err != nil || f == nil || known[sumOf(f.Data)] {
			return err
		}
		rel, err := filepath.Rel(root, path)
		for file, r := range records {
			if r.makes(f, rel) && r.takeLater(f) {
				changed[file] = true
			}
		}
		return err
	})
	for file := range changed {
		data, jsonErr := json.Marshal(records[file])
		err = cmp.Or(err, jsonErr, os.WriteFile(file, data, 0o600))
	}
	return err
}

// linkedFile reads a program or shared object; it returns nil for what is none.
func linkedFile(path string) (*lpelf.File, error) {
	head, err := firstBytes(path)
	if err != nil || !isELF(head) {
		return nil, err
	}
	f, err := lpelf.Open(path)
	if err != nil || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, nil //nolint:nilerr // of another machine, or damaged: it is none of the links'
	}
	return f, nil
}

// makes tells whether a file seems to be what a link made, as it is now.
func (r *linkRecord) makes(f *lpelf.File, rel string) bool {
	id := identityOf(f)
	return r.Output == rel || r.Identity.BuildID != "" && id.BuildID == r.Identity.BuildID
}

// takeLater notes sections that are not as they were linked.
func (r *linkRecord) takeLater(f *lpelf.File) bool {
	now := loadedSums(f)
	found := false
	for _, s := range f.Sections {
		sum, ok := now[s.Name]
		if !ok || r.Loaded[s.Name] == sum {
			continue
		}
		later := linkInput{Name: "a later change of its section " + s.Name, Sum: sum}
		if !slices.ContainsFunc(r.How, func(h linkInput) bool { return h.Name == later.Name && h.Sum == later.Sum }) {
			r.How, found = append(r.How, later), true
		}
	}
	return found
}
