// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"bytes"
	"debug/elf"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample returns a small valid patch.
func sample() *Content {
	return &Content{
		Spec: &Spec{
			Format: FormatVersion, Name: "cve-1", Tool: "lpctl test", Description: "two\nlines",
			Images: []Image{{
				Name: "prog", SHA256: make(Hex, 32), BuildID: Hex{1, 2}, Near: true,
				TextOffset: 0x1000, TextVaddr: 0x1000, TextSize: 0x3000, SpanEnd: 0x8000,
			}},
			Sites:     []Site{{Kind: SiteJump, Symbol: "f", Vaddr: 0x1100, Old: Hex{1, 2, 3, 4, 5}, Target: 0x1000}},
			Functions: []Function{{Symbol: "f", Why: "changed", Bodies: []Range{{0x1100, 0x1180}}}},
			Fixups:    []Fixup{{Kind: FixupPC32, Place: 0x1004, Addend: 0x2000}, {Kind: FixupAbs64, Image: SelfImage, Place: 0x2000, Addend: 0x1000}},
		},
		Sections: []Section{
			{Name: ".rodata", Flags: elf.SHF_ALLOC, Addr: HeaderSize, Align: 1, Data: []byte("text\x00")},
			{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: 0x1000, Align: 16, Data: bytes.Repeat([]byte{0x90}, 32)},
			{Name: ".data", Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: 0x2000, Align: 8, Data: make([]byte, 16)},
		},
		Symbols: []Symbol{{Name: "f", Addr: 0x1000, Size: 32, Func: true}, {Name: "v", Addr: 0x2000, Size: 8, Local: true}},
	}
}

func encode(t testing.TB, c *Content) []byte {
	t.Helper()
	data, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	c := sample()
	data := encode(t, c)
	if !bytes.Equal(data, encode(t, sample())) {
		t.Error("the same content gave two different files")
	}
	f, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Spec, f.Spec); diff != "" {
		t.Errorf("descriptor (-want +got):\n%s", diff)
	}
	want := []Segment{{0, 0, 0x1000, ProtR}, {0x1000, 0x1000, 0x1000, ProtRX}, {0x2000, 0x2000, 0x1000, ProtRW}}
	if diff := cmp.Diff(want, f.Segments()); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
	if len(f.BuildID) != buildIDSize || f.Span() != 0x3000 || len(f.Symbols()) != 2 {
		t.Errorf("build-id %x, span %#x, symbols %v", f.BuildID, f.Span(), f.Symbols())
	}
}

func TestReadRefuses(t *testing.T) {
	good := encode(t, sample())
	tests := []struct {
		name   string
		change func(*Spec)
		want   string
	}{
		{"format", func(s *Spec) { s.Format = 2 }, "its format is 2"},
		{"name with a slash", func(s *Spec) { s.Name = "a/b" }, "letters, digits"},
		{"no name", func(s *Spec) { s.Name = "" }, "not possible"},
		{"hidden name", func(s *Spec) { s.Name = ".x" }, "not possible"},
		{"no image", func(s *Spec) { s.Images = nil }, "0 images"},
		{"no site", func(s *Spec) { s.Sites = nil }, "0 sites"},
		{"site of no image", func(s *Spec) { s.Sites[0].Image = 1 }, "image 1 does not exist"},
		{"site outside", func(s *Spec) { s.Sites[0].Vaddr = 0x7fff }, "outside the image"},
		{"site not in text", func(s *Spec) { s.Sites[0].Vaddr = 0x5000 }, "outside the image's text"},
		{"site too short", func(s *Spec) { s.Sites[0].Old = s.Sites[0].Old[:4] }, "a jump overwrites 5"},
		{"site without bytes", func(s *Spec) { s.Sites[0].Old = nil }, "0 bytes"},
		{"jump to data", func(s *Spec) { s.Sites[0].Target = 0x2000 }, "outside the patch's text"},
		{"sites overlap", func(s *Spec) { s.Sites = append(s.Sites, s.Sites[0]) }, "overlap"},
		{"unknown kind", func(s *Spec) { s.Sites[0].Kind = "call" }, "not known"},
		{"bytes of another length", func(s *Spec) { s.Sites[0].Kind, s.Sites[0].Target, s.Sites[0].New = SiteBytes, 0, Hex{1} }, "1 to write"},
		{"fix-up outside", func(s *Spec) { s.Fixups[1].Place = 0x2ffc }, "outside the patch"},
		{"fix-ups out of order", func(s *Spec) { s.Fixups[0], s.Fixups[1] = s.Fixups[1], s.Fixups[0] }, "not behind"},
		{"fix-up kind", func(s *Spec) { s.Fixups[0].Kind = "pc8" }, "not known"},
		{"fix-up image", func(s *Spec) { s.Fixups[0].Image = -2 }, "does not exist"},
		{"hash", func(s *Spec) { s.Images[0].SHA256 = Hex{1} }, "SHA-256"},
		{"unaligned", func(s *Spec) { s.Images[0].TextVaddr = 0x1001 }, "page aligned"},
		{"span", func(s *Spec) { s.Images[0].SpanEnd = 0 }, "span"},
		{"no body", func(s *Spec) { s.Functions[0].Bodies = nil }, "0 bodies"},
		{"body upside down", func(s *Spec) { s.Functions[0].Bodies[0].End = 0 }, "outside the image"},
		{"control character", func(s *Spec) { s.Sites[0].Symbol = "\x1b[2J" }, "not printable"},
		{"control character of 8 bits", func(s *Spec) { s.Sites[0].Symbol = "\u009b2J" }, "not printable"},
		{"text from right to left", func(s *Spec) { s.Functions[0].Why = "\u202egnihton" }, "not printable"},
		{"control character in a description", func(s *Spec) { s.Description = "first\nse\rcond" }, "description \"se\\rcond\" has"},
		{"control character in the tool's name", func(s *Spec) { s.Tool = "\a" }, "tool \"\\a\" has"},
		{"long description", func(s *Spec) { s.Description = strings.Repeat("x", 5000) }, "longer than 4096"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sample()
			tt.change(c.Spec)
			_, err := Encode(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
	for n := range good {
		if f, err := Read(good[:n]); err == nil || f != nil {
			t.Fatalf("a file cut to %d of %d bytes was accepted", n, len(good))
		}
	}
}
