// SPDX-License-Identifier: GPL-2.0

package ehframe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeader writes an .eh_frame_hdr and reads it again.
func TestHeader(t *testing.T) {
	rows := []Row{{0x3000, 0x2040}, {0x1000, 0x2020}}
	data, far := Header(0x2000, 0x2100, rows)
	if far != 0 || uint64(len(data)) != HeaderSize(len(rows)) {
		t.Errorf("%d bytes, %#x is out of reach", len(data), far)
	}
	got, ok := ReadHeader(data, 0x2000)
	if diff := cmp.Diff([]Row{{0x1000, 0x2020}, {0x3000, 0x2040}}, got); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	if _, far := Header(0x2000, 0x2100, []Row{{1 << 40, 0x2020}}); far != 1<<40 {
		t.Errorf("what is out of reach is %#x", far)
	}
	for n := range data {
		if got, ok := ReadHeader(data[:n], 0x2000); ok {
			t.Errorf("the first %d bytes are an index: %v", n, got)
		}
	}
}

// section contains a CIE "zR" and an FDE for 0x20 bytes of code at 0x1000, with the section at 0x2000.
var section = []byte{
	16, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0, 0, 0,
	16, 0, 0, 0, 24, 0, 0, 0, 0xe4, 0xef, 0xff, 0xff, 0x20, 0, 0, 0, 0, 0, 0, 0,
}

func TestEntries(t *testing.T) {
	list, end, err := Entries(append(section[:len(section):len(section)], 0, 0, 0, 0, 1, 2, 3))
	if diff := cmp.Diff([]Entry{{0, 20, 0}, {20, 40, 0}}, list); diff != "" || end != 40 || err != nil {
		t.Errorf("to %d, %v (-want +got):\n%s", end, err, diff)
	}
	if _, end, err := Entries(section[:30]); end != 20 || err == nil {
		t.Errorf("of a cut off section to %d, %v", end, err)
	}
}

func TestRanges(t *testing.T) {
	if diff := cmp.Diff([]Range{{0x1000, 0x1020}}, Ranges(section, 0x2000)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	start, ok := At([]Range{{0x1000, 0x1020}}, 0x101f)
	if start != 0x1000 || !ok {
		t.Errorf("%#x, %v", start, ok)
	}
	if _, ok := At([]Range{{0x1000, 0x1020}}, 0x1020); ok {
		t.Error("the end is not in the range")
	}
}

// TestMove relocates a section to another address.
func TestMove(t *testing.T) {
	table, err := Read(section, 0x2000)
	want := []Frame{{Row: Row{0x1000, 20}, Size: 0x20, Rules: "\x01zR\x00\x01\x78\x10\n"}}
	if diff := cmp.Diff(want, table.Frames); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if err := table.Move(0x8000); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Range{{0x1000, 0x1020}}, Ranges(table.Data, 0x8000)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
