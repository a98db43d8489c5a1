// SPDX-License-Identifier: GPL-2.0

// Package arch says what the builder has to know of a processor, and what it calls that. Each processor has a room below it:
// pkg/arch/x86. Which one a file is for says the file (lpelf.File.Arch), never the machine that lpctl runs on.
package arch

// PageSize is what segments of a patch are aligned to.
const PageSize = 4096

// AlignUp is the next multiple of a power of two.
func AlignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// Arch is a processor. Fields are those of relocations, by their offset in code.
type Arch interface {
	// Decode decodes the instruction at the start of code.
	Decode(code []byte) (Insn, error)
	// Reloc explains a type of relocation.
	Reloc(number uint32) Reloc

	// Filler returns how many bytes at the start of code do nothing, or end the program, and are put between functions: those of
	// a no-op, of a trap, zeros. It is 0 for other code.
	Filler(code []byte) int
	// Site says where in a function the jump to its new body goes, and how long that is.
	Site(code []byte) (off, size uint64)
	// Through is a function that jumps to what a word holds, or, if twice, to what the word holds that it points to; field is
	// where the distance to the word is to be written.
	Through(twice bool) (code []byte, field uint64)
	// Jump is an unconditional branch, and where the distance to its target is to be written.
	Jump() (code []byte, field uint64)
	// Trap is an instruction that ends the program.
	Trap() []byte
	// Count is an instruction that adds one to a word of 8 bytes, at once for all threads, and where the distance from its end to
	// that word is to be written. It changes nothing that a function may find or has to leave as it was.
	Count() (code []byte, field uint64)
	// Return returns to the caller with a number, of which as much counts as the type has, or, if that is nil, with nothing.
	Return(number *uint64) []byte
	// Move makes the instruction at the start of code, which is at an address, one or two that do the same wherever they are. The
	// error says why that cannot be done.
	Move(code []byte, at uint64) (Moved, error)

	// Use tells what the instruction around a field does with the place that the field means.
	Use(code []byte, field uint64) Use
	// Load has an instruction that takes an address load the word there instead.
	Load(code []byte, field uint64)
	// Relax has an instruction that uses a word of the global offset table use the place itself, as linkers do, if it can; to is
	// where its field is then.
	Relax(t Reloc, code []byte, field uint64) (to uint64, ok bool)
	// Relaxed recognises in a linked file what a linker has made of an instruction that uses a word of the global offset table.
	Relaxed(old, linked []byte, o, l Insn) (value int64, is Relaxation)

	// Sequence finds the instructions around a field by which code gets at a thread-local variable, and which a linker rewrites
	// together where it knows the distance from the thread pointer; n is 0 if there are none.
	Sequence(t Reloc, code []byte, field uint64) (start, n uint64)
	// LocalExec tells whether code is what a linker makes of such a sequence, and the distance that it has then, if any.
	LocalExec(t Reloc, code []byte) (off int64, ok bool)
	// ToLocalExec rewrites a sequence; field is where the distance is to be written.
	ToLocalExec(t Reloc, code []byte) (field uint64)

	// Argument finds out what an argument, of which 0 is the first, is at a call or jump with a field, from the instructions in
	// front of it as far as nothing leads into them. relocated tells of fields in [from, to).
	Argument(code []byte, call uint64, n int, relocated func(from, to uint64) bool) Value
	// JumpsByTable tells whether the target of a jump through a register or memory is what a table holds, as far as the code in front
	// of the jump shows it; isTable tells whether a field in [from, to) means a table.
	JumpsByTable(code []byte, jump int, isTable func(from, to uint64) bool) bool
	// AllOnes tells whether code makes a number of all ones, of the size of a pointer, or does not decode.
	AllOnes(code []byte) bool
}

// Moved is what does what an instruction did at another place.
type Moved struct {
	Code []byte
	Refs []MovedRef
}

// MovedRef is a field of 4 bytes for the distance from the end of its instruction to an address, or to a word that holds that.
type MovedRef struct {
	Field, End uint64 // offsets in the code
	To         uint64
	Word       bool // the address to which a call returns
}

// Use is what an instruction does with the place that it refers to.
type Use uint8

// The uses of places.
const (
	OtherUse        Use = iota
	TakesAddress        // it computes the address
	Branches            // it calls it, or jumps there
	BranchesIf          // it jumps there under a condition
	BranchesThrough     // it calls what the word there holds, or jumps there
)

// Relaxation is the form of an instruction that a linker has rewritten.
type Relaxation uint8

// The forms of rewritten instructions.
const (
	NotRelaxed Relaxation = iota
	ToNear                // the value is relative to the end of the instruction
	ToNumber              // the value is what is used
)

// Value is what is known of an argument: a number, or the address that the field of an instruction means.
type Value struct {
	Known  bool
	Number int64
	// Start and End are where that instruction is; both are 0 if there is none.
	Start, End uint64
}
