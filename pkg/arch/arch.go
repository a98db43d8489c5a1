// SPDX-License-Identifier: GPL-2.0

// Package arch defines what the builder has to know about a processor architecture. Each architecture has a package below it:
// pkg/arch/x86. The architecture is that of the file (lpelf.File.Arch), never that of the machine on which lpctl runs.
package arch

// PageSize is the alignment of the segments of a patch in bytes.
const PageSize = 4096

// AlignUp rounds n up to a multiple of align, which is a power of two.
func AlignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// Arch is a processor architecture. A field is the relocated field of an instruction, given by its offset in code.
type Arch interface {
	// Decode decodes the instruction at the start of code. Errors wrap ErrDecode.
	Decode(code []byte) (Insn, error)
	// Reloc returns the description of a relocation type.
	Reloc(number uint32) Reloc

	// Filler returns the length in bytes of the padding instruction at the start of code: a no-op, a trap, or zeros. It
	// returns 0 for other code.
	Filler(code []byte) int
	// Site returns the offset in a function at which the jump to its new body is written, and the length of the jump.
	Site(code []byte) (off, size uint64)
	// Through returns a function that jumps to the address in a word or, if twice is set, to the address in the word that
	// this word points to. field is the offset of the PC-relative displacement to the word.
	Through(twice bool) (code []byte, field uint64)
	// Jump returns an unconditional branch and the offset of its displacement.
	Jump() (code []byte, field uint64)
	// Trap returns an instruction that terminates the program.
	Trap() []byte
	// Count returns an instruction that atomically increments an 8-byte word, and the offset of the displacement of the word.
	// The instruction clobbers nothing that is live at the entry of a function.
	Count() (code []byte, field uint64)
	// Return returns code that returns to the caller with a number as result, of which only the low-order bytes count if the
	// type is narrower, or without a result if number is nil.
	Return(number *uint64) []byte
	// Move returns one or two position-independent instructions that do the same as the instruction at the start of code,
	// which is at address at. The error is the reason why that is not possible.
	Move(code []byte, at uint64) (Moved, error)

	// Use returns how the instruction that contains a field uses the address that the field refers to.
	Use(code []byte, field uint64) Use
	// Load rewrites an instruction that computes an address to load the word at that address.
	Load(code []byte, field uint64)
	// Relax rewrites an instruction that uses a GOT word to use the address directly, as linkers do, if possible. to is the
	// new offset of its field.
	Relax(t Reloc, code []byte, field uint64) (to uint64, ok bool)
	// Relaxed recognizes, in a linked file, the result of relaxing an instruction that uses a GOT word.
	Relaxed(old, linked []byte, o, l Insn) (value int64, is Relaxation)

	// Sequence returns the code sequence around a field that accesses a thread-local variable and that a linker rewrites as a
	// whole if it knows the TP offset. n is its length; 0 if there is none.
	Sequence(t Reloc, code []byte, field uint64) (start, n uint64)
	// LocalExec reports whether code is the local-exec form of such a sequence, and returns the TP offset in it, if any.
	LocalExec(t Reloc, code []byte) (off int64, ok bool)
	// ToLocalExec rewrites a sequence to its local-exec form. field is the offset at which the TP offset is to be written.
	ToLocalExec(t Reloc, code []byte) (field uint64)

	// Argument determines the value of argument n, starting with 0, of the call or jump with a field at offset call. It
	// examines the preceding instructions as far as they are not branch targets. relocated reports whether there is a
	// relocated field in [from, to).
	Argument(code []byte, call uint64, n int, relocated func(from, to uint64) bool) Value
	// JumpsByTable tells whether the target of a jump through a register or memory is what a table holds, as far as the code in front
	// of the jump shows it; isTable tells whether a field in [from, to) means a table.
	JumpsByTable(code []byte, jump int, isTable func(from, to uint64) bool) bool
	// AllOnes tells whether code makes a number of all ones, of the size of a pointer, or does not decode.
	AllOnes(code []byte) bool
}

// Moved is the code that replaces an instruction at another address.
type Moved struct {
	Code []byte
	Refs []MovedRef
}

// MovedRef is a 4-byte PC-relative field that refers to an address, or to a word that contains the address.
type MovedRef struct {
	Field, End uint64 // offsets in the code
	To         uint64
	Word       bool // To is a return address, to be stored in a word
}

// Use is how an instruction uses the address that it refers to.
type Use uint8

// The uses of an address.
const (
	OtherUse        Use = iota
	TakesAddress        // computes the address
	Branches            // calls it or jumps to it
	BranchesIf          // jumps to it conditionally
	BranchesThrough     // calls or jumps to the address stored there
)

// Relaxation is the form of an instruction after relaxation.
type Relaxation uint8

// The forms of relaxed instructions.
const (
	NotRelaxed Relaxation = iota
	ToNear                // the value is relative to the end of the instruction
	ToNumber              // the value is an immediate
)

// Value is the value of an argument: a number, or the address that the field of an instruction refers to.
type Value struct {
	Known  bool
	Number int64
	// Start and End delimit this instruction; both are 0 if there is none.
	Start, End uint64
}
