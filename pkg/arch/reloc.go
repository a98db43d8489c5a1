// SPDX-License-Identifier: GPL-2.0

package arch

import (
	"debug/elf"
	"fmt"
)

// Meaning is the value that a relocation stores in its field.
type Meaning uint8

// The meanings of relocations: those of object files and, from GlobDat on, those that only occur in linked files.
const (
	Unknown        Meaning = iota // unsupported
	None                          // no value
	Address                       // S + A
	Branch                        // S + A of a branch destination
	Word                          // address of the GOT word of the symbol
	SymbolSize                    // size of the symbol
	ThreadOffset                  // TP offset of a thread-local variable
	ThreadWord                    // address of the GOT word with the TP offset
	BlockOffset                   // offset in the TLS block of the module
	GeneralDynamic                // address of the GOT words with module and offset, the argument of __tls_get_addr
	LocalDynamic                  // the same for the module alone
	Descriptor                    // address of the TLS descriptor
	DescriptorCall                // no value; marks the call through a TLS descriptor
	GlobDat                       // address of the symbol, in the GOT
	JumpSlot                      // address of the symbol, in the GOT word of a PLT entry
	Relative                      // load bias plus addend
	Indirect                      // result of the resolver at the addend (IRELATIVE)
	Copy                          // content of the symbol in the file that defines it
	ThreadSlot                    // TP offset of a thread-local variable
	Module                        // module ID of a thread-local variable
	DescriptorWord                // TLS descriptor
)

// Reloc is a relocation type.
type Reloc struct {
	Number  uint32 // number in the psABI
	Machine elf.Machine
	Meaning Meaning
	Size    uint8 // size of the field in bytes
	PCRel   bool  // the value is relative to the address of the field
	Signed  bool  // the field is sign-extended
}

// Pointer reports whether the field is a word that contains an address.
func (r Reloc) Pointer() bool { return r.Meaning == Address && r.Size == 8 && !r.PCRel }

// Short reports whether the field contains an absolute address in 32 bits.
func (r Reloc) Short() bool { return r.Meaning == Address && r.Size == 4 && !r.PCRel }

// Near reports whether the field contains a 32-bit PC-relative address.
func (r Reloc) Near() bool { return r.Meaning == Address && r.Size == 4 && r.PCRel }

// String returns the name of the type in the psABI.
func (r Reloc) String() string {
	if r.Machine == elf.EM_X86_64 {
		return elf.R_X86_64(r.Number).String()
	}
	return fmt.Sprintf("relocation %d of %v", r.Number, r.Machine)
}
