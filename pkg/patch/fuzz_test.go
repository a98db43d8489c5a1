// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"debug/elf"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lpatch/pkg/arch"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzRead checks that Read returns an error, or a file that has the same content after it is encoded and read again.
func FuzzRead(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *File
		var err error
		fuzztest.Bounded(t, len(data), func() { file, err = Read(data) })
		if (file == nil) == (err == nil) {
			t.Fatalf("value %v and error %v", file, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v is not ErrInvalid", err)
			}
			return
		}
		for _, s := range file.Segments() {
			if s.Offset+s.Size > uint64(len(data)) || s.Offset%arch.PageSize != 0 || uint64(len(file.BytesAt(s.Vaddr))) > s.Size {
				t.Fatalf("segment %+v of %d bytes", s, len(data))
			}
		}
		sections, ok := sectionsOf(file)
		if !ok {
			return
		}
		back := writeAndRead(t, &Content{Spec: file.Spec, Sections: sections})
		same(t, file.Spec, back.Spec)
		for _, s := range sections {
			same(t, s.Data, back.BytesAt(s.Addr)[:len(s.Data)])
		}
	})
}

// sectionsOf converts segments to sections. ok is false unless the file has the layout that Encode creates: the first segment
// is read-only and at least as large as the headers, and adjacent segments have different protections.
func sectionsOf(f *File) ([]Section, bool) {
	flags := map[Prot]elf.SectionFlag{ProtR: elf.SHF_ALLOC, ProtRX: elf.SHF_ALLOC | elf.SHF_EXECINSTR, ProtRW: elf.SHF_ALLOC | elf.SHF_WRITE}
	var list []Section
	for i, s := range f.Segments() {
		data := f.BytesAt(s.Vaddr)
		if i == 0 {
			if s.Prot != ProtR || len(data) <= HeaderSize {
				return nil, false
			}
			list = append(list, Section{Name: "0", Flags: flags[s.Prot], Addr: HeaderSize, Align: 1, Data: data[HeaderSize:]})
			continue
		}
		if flags[s.Prot] == list[i-1].Flags || len(data) == 0 || s.Vaddr > 1<<20 {
			return nil, false
		}
		list = append(list, Section{Name: "s", Flags: flags[s.Prot], Addr: s.Vaddr, Align: 1, Data: data})
	}
	return list, len(list) <= maxHeaders-3
}

// FuzzSpec checks that a descriptor is rejected, or is the same after a file with it is written and read.
func FuzzSpec(f *testing.F) {
	file, err := Read(encode(f, sample()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file.elf.Section(SpecSection).Data)
	f.Fuzz(func(t *testing.T, desc []byte) {
		var spec *Spec
		var err error
		fuzztest.Bounded(t, len(desc), func() { spec, err = decodeSpec(desc) })
		if (spec == nil) == (err == nil) {
			t.Fatalf("value %v and error %v", spec, err)
		}
		if err != nil || (&File{Spec: spec, segments: file.segments}).check() != nil {
			return
		}
		same(t, spec, writeAndRead(t, &Content{Spec: spec, Sections: sample().Sections}).Spec)
	})
}

func writeAndRead(t *testing.T, c *Content) *File {
	t.Helper()
	data, err := Encode(c)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	back, err := Read(data)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	return back
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("it has changed (-read +read again):\n%s", diff)
	}
}
