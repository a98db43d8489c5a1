// SPDX-License-Identifier: GPL-2.0

package arch

import (
	"debug/elf"
	"fmt"
)

// Meaning is what a relocation puts into its field.
type Meaning uint8

// The meanings of relocations: of objects, and, from GlobDat on, of linked files only.
const (
	Unknown        Meaning = iota // nothing that is known here
	None                          // nothing
	Address                       // the place that its symbol and addend mean
	Branch                        // the same, of what is called or jumped to
	Word                          // where the global offset table has the address of the symbol
	SymbolSize                    // the size of the symbol
	ThreadOffset                  // where a thread-local variable is, from the thread pointer
	ThreadWord                    // where the global offset table has that
	BlockOffset                   // where it is in the block of its file
	GeneralDynamic                // the words with file and offset that __tls_get_addr is given
	LocalDynamic                  // the same for the file alone
	Descriptor                    // where the descriptor of a thread-local variable is
	DescriptorCall                // nothing; it marks the call through one
	GlobDat                       // the address of the symbol, in the global offset table
	JumpSlot                      // the same for a PLT entry
	Relative                      // the addend and where the file is mapped
	Indirect                      // what the function at the addend returns
	Copy                          // what the symbol is in the file that defines it
	ThreadSlot                    // where a thread-local variable is, from the thread pointer
	Module                        // which file a thread-local variable is of
	DescriptorWord                // a descriptor
)

// Reloc is a type of relocation.
type Reloc struct {
	Number  uint32 // in the ABI of the processor
	Machine elf.Machine
	Meaning Meaning
	Size    uint8 // of the field in bytes
	PCRel   bool  // the value is relative to the place of the field
	Signed  bool  // the field is extended by its sign
}

// Pointer tells whether the field is a word with an address.
func (r Reloc) Pointer() bool { return r.Meaning == Address && r.Size == 8 && !r.PCRel }

// Short tells whether the field has an address in 32 bits.
func (r Reloc) Short() bool { return r.Meaning == Address && r.Size == 4 && !r.PCRel }

// Near tells whether the field has the distance to an address in 32 bits.
func (r Reloc) Near() bool { return r.Meaning == Address && r.Size == 4 && r.PCRel }

// String is the name that the ABI has for the type.
func (r Reloc) String() string {
	if r.Machine == elf.EM_X86_64 {
		return elf.R_X86_64(r.Number).String()
	}
	return fmt.Sprintf("relocation %d of %v", r.Number, r.Machine)
}
