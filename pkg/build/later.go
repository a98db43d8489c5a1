// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// A build may change a file when it is linked, with objcopy or a program of its own: no object and no link tells that. So each
// file with a link's name or build-id that is there when the build is done is compared with what was linked: what is loaded, and
// what the program may read of its own file.

// laterSums are the sums of parts of a linked file, by what they are: sections but for the build-id and what is for debuggers, kinds
// of program headers, and what is appended.
func laterSums(f *lpelf.File) map[string]string {
	sums := map[string]string{}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Name == ".note.gnu.build-id" || s.Flags&elf.SHF_ALLOC == 0 && (s.Type != elf.SHT_PROGBITS || isForDebuggers(s.Name)) {
			continue
		}
		key := "section " + s.Name
		sums[key] = sumOf([]byte(sums[key] + string(contentOf(f, s))))
	}
	headers := ""
	for _, p := range f.Progs {
		headers += fmt.Sprintln(p.Type, p.Flags)
	}
	sums["program headers"] = sumOf([]byte(headers))
	if more := appended(f); len(more) > 0 {
		sums["end, what is appended to it"] = sumOf(more)
	}
	return sums
}

func isForDebuggers(section string) bool {
	return section == ".comment" || slices.ContainsFunc([]string{".debug", ".zdebug", ".gnu_debug", ".gnu.debug", ".gdb_index", ".stab", ".ctf", ".BTF"}, func(p string) bool { return strings.HasPrefix(section, p) })
}

// appended is what a file has behind all that is ELF's.
func appended(f *lpelf.File) []byte {
	const offset, number, size = 0x28, 0x3c, 64 // of Elf64_Ehdr: e_shoff, e_shnum; of Elf64_Shdr
	end := word(f.Data[offset:]) + uint64(binary.LittleEndian.Uint16(f.Data[number:]))*size
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS {
			end = max(end, s.Offset+s.Size)
		}
	}
	for _, p := range f.Progs {
		end = max(end, p.Off+p.Filesz)
	}
	return f.Data[min(end, uint64(len(f.Data))):]
}

// loadedSum is the sum of all that counts of a linked file when it is loaded, but for the build-id. parts are its laterSums.
func loadedSum(f *lpelf.File, parts map[string]string) string {
	all := string(headerOf(f))
	for _, p := range f.Progs {
		all += fmt.Sprintln(p.Type, p.Flags, p.Vaddr, p.Filesz, p.Memsz, p.Align)
	}
	for _, s := range loadedSections(f) {
		all += fmt.Sprintln(s.Name, s.Type, s.Flags, s.Addr, s.Size, parts["section "+s.Name])
	}
	return sumOf([]byte(all))
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
		id, sums := hex.EncodeToString(f.BuildID()), laterSums(f)
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

// takeLater notes parts that are not as they were linked, by their sums now.
func (r *linkRecord) takeLater(now map[string]string) bool {
	found := false
	for _, part := range slices.Sorted(maps.Keys(now)) {
		later := linkInput{Name: "a later change of its " + part, Sum: now[part]}
		noted := slices.ContainsFunc(r.How, func(h linkInput) bool { return h.Name == later.Name && h.Sum == later.Sum })
		if r.Parts[part] != later.Sum && !noted {
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
