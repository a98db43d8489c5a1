// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
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
	records, changed, known := map[string]*linkRecord{}, map[string]bool{}, map[string]bool{}
	err := readRecords(filepath.Join(objects, linksDir), func(file string, data []byte) error {
		r := &linkRecord{}
		records[file] = r
		err := json.Unmarshal(data, r)
		known[r.Sum] = true
		return err
	})
	if err != nil || len(records) == 0 {
		return err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := linkedFile(path)
		if err != nil || f == nil || known[sumOf(f.Data)] {
			return err
		}
		rel, err := filepath.Rel(root, path)
		id, sums := hex.EncodeToString(f.BuildID()), loadedSums(f)
		for file, r := range records {
			if (r.Output == rel || id != "" && id == r.Identity.BuildID) && r.takeLater(sums) {
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
	if err != nil || !isELF(head) || isObject(head) {
		return nil, err
	}
	f, err := lpelf.Open(path)
	if err != nil || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, nil //nolint:nilerr // of another machine, or damaged: it is none of the links'
	}
	return f, nil
}

// takeLater notes sections that are not as they were linked, by the sums of what is loaded now.
func (r *linkRecord) takeLater(now map[string]string) bool {
	found := false
	for _, name := range slices.Sorted(maps.Keys(now)) {
		later := linkInput{Name: "a later change of its section " + name, Sum: now[name]}
		noted := slices.ContainsFunc(r.How, func(h linkInput) bool { return h.Name == later.Name && h.Sum == later.Sum })
		if r.Loaded[name] != later.Sum && !noted {
			r.How, found = append(r.How, later), true
		}
	}
	return found
}

// contentOf is what a section has. A dynamic symbol names its section by a number, in place of which stands its address here: an
// empty section in front of it is counted.
func contentOf(f *lpelf.File, sec *lpelf.Section) []byte {
	if sec.Type != elf.SHT_DYNSYM {
		return sec.Data
	}
	const size, at = 24, 6 // of Elf64_Sym, and of its st_shndx
	data := slices.Clone(sec.Data)
	for i := at; i+2 <= len(data); i += size {
		if s := numbered(f, data[i:]); s != nil {
			data = binary.LittleEndian.AppendUint64(data, s.Addr)
			data[i], data[i+1] = 1, 0
		}
	}
	return data
}
