// SPDX-License-Identifier: GPL-2.0

package image

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/arch/x86"
)

func TestBranchesInto(t *testing.T) {
	code := []byte{
		0x90,       // 0
		0x90,       // 1
		0xff, 0xc0, // 2: inc %eax
		0x90,       // 4
		0x75, 0xfb, // 5: jne 2
		0xeb, 0xf7, // 7: jmp 0
		0xc3,
	}
	const start = 0x1000
	if diff := cmp.Diff([]uint64{5}, branchesInto(x86.Arch{}, code, start, start, start+5)); diff != "" {
		t.Errorf("the branch to the first byte does no harm, that to the third does (-want +got):\n%s", diff)
	}
}

func TestIsPadding(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		want bool
	}{
		{"int3", []byte{0xcc, 0xcc, 0xcc, 0xcc}, true},
		{"zeros", []byte{0, 0, 0, 0}, true},
		{"long no-op", []byte{0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, true},
		{"code", []byte{0x90, 0x90, 0xc3, 0x90}, false},
		{"pause is no filling", []byte{0xf3, 0x90, 0x90, 0x90}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := isPadding(x86.Arch{}, tt.code, 4); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
