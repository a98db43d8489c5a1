// SPDX-License-Identifier: GPL-2.0

package link

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestValueSites splits values into sites: complete pieces of 16 bytes, so that no scalar is written partially, without bytes
// that the dynamic linker fills in.
func TestValueSites(t *testing.T) {
	const size = 48
	tests := []struct {
		name    string
		vaddr   uint64
		changed []int // offsets of bytes that differ
		linked  [2]int
		want    string // START+LENGTH of each site, relative to the variable
	}{
		{"one byte", 0x1000, []int{20}, [2]int{}, "16+16"},
		{"begins inside a piece", 0x1004, []int{0, 12}, [2]int{}, "0+12 12+16"},
		{"ends inside a piece", 0x1004, []int{47}, [2]int{}, "44+4"},
		{"over a page", 0x0ff8, []int{7, 8}, [2]int{}, "0+8 8+16"},
		{"beside a pointer", 0x1000, []int{1, 26}, [2]int{16, 24}, "0+16 24+8"},
		{"pointer between", 0x1000, []int{16, 31}, [2]int{20, 28}, "16+4 28+4"},
		{"nothing", 0x1000, nil, [2]int{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &Value{Vaddr: tt.vaddr, From: make([]byte, size), To: make([]byte, size), Linked: make([]bool, size)}
			for _, i := range tt.changed {
				v.To[i] = 1
			}
			for i := tt.linked[0]; i < tt.linked[1]; i++ {
				v.Linked[i] = true
			}
			var got []string
			for _, s := range v.sites("v") {
				at := s.Vaddr - tt.vaddr
				got = append(got, fmt.Sprintf("%d+%d", at, len(s.Old)))
				if string(s.Old) != string(v.From[at:at+uint64(len(s.Old))]) || string(s.New) != string(v.To[at:at+uint64(len(s.New))]) {
					t.Errorf("site at %d: % x to % x", at, s.Old, s.New)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
