// SPDX-License-Identifier: GPL-2.0

package patch_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"log"

	"lpatch/pkg/patch"
)

// fix returns a patch of one function of prog, as a builder creates it.
func fix() *patch.Content {
	return &patch.Content{
		Spec: &patch.Spec{
			Format: patch.FormatVersion, Name: "fix", Tool: "example",
			Images: []patch.Image{{
				Name: "prog", SHA256: make(patch.Hex, 32), BuildID: patch.Hex{0xc0, 0xde},
				TextOffset: 0x1000, TextVaddr: 0x1000, TextSize: 0x3000, SpanEnd: 0x8000,
			}},
			Sites:     []patch.Site{{Kind: patch.SiteJump, Symbol: "f", Vaddr: 0x1100, Old: patch.Hex{0x55, 0x48, 0x89, 0xe5, 0x90}, Target: 0x1000}},
			Functions: []patch.Function{{Symbol: "f", Why: "changed", Bodies: []patch.Range{{Start: 0x1100, End: 0x1180}}}},
		},
		Sections: []patch.Section{{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: 0x1000, Align: 16, Data: []byte{0xc3}}},
		Symbols:  []patch.Symbol{{Name: "f", Addr: 0x1000, Size: 1, Func: true}},
	}
}

// A patch is written to a file and read again.
func ExampleRead() {
	data, err := patch.Encode(fix())
	if err != nil {
		log.Fatal(err)
	}
	f, err := patch.Read(data)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range f.Spec.Sites {
		fmt.Printf("%s in %s, build-id %x\n", s.Symbol, f.Spec.Images[s.Image].Name, []byte(f.Spec.Images[s.Image].BuildID))
	}
	// Output: f in prog, build-id c0de
}

// A truncated patch file is rejected.
func ExampleRead_truncated() {
	data, err := patch.Encode(fix())
	if err != nil {
		log.Fatal(err)
	}
	_, err = patch.Read(data[:len(data)/2])
	fmt.Println(errors.Is(err, patch.ErrInvalid))
	// Output: true
}
