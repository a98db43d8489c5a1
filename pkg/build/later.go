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

// A build may modify a file after linking it, with objcopy or a program of its own, which neither objects nor links show.
// Therefore, at the end of the build, the loaded sections of each file with the name or build-id of a link are compared with
// those that were linked.

// loadedSums returns the SHA-256 of each loaded section of a linked file except the build-id.
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

// noteLater records in the links of a completed build which outputs the build has modified afterwards. objects is the
// directory of its objects.
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

// linkedFile reads a program or shared object. It returns nil for other files.
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

// takeLater records the sections whose content differs from that of the link. now has the current SHA-256 of each section.
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

// contentOf returns the content of a section. In dynamic symbols, it replaces the section index by the section address,
// because an additional empty section changes the indexes.
func contentOf(f *lpelf.File, sec *lpelf.Section) []byte {
	if sec.Type != elf.SHT_DYNSYM {
		return sec.Data
	}
	const size, at = 24, 6 // size of Elf64_Sym and offset of st_shndx
	data := slices.Clone(sec.Data)
	for i := at; i+2 <= len(data); i += size {
		if s := numbered(f, data[i:]); s != nil {
			data = binary.LittleEndian.AppendUint64(data, s.Addr)
			data[i], data[i+1] = 1, 0
		}
	}
	return data
}
