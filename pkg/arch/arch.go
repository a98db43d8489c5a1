// Package arch says what the builder has to know of a processor, and what it calls that. Each processor has a room below it:
// pkg/arch/x86. Which one a file is for says the file (lpelf.File.Arch), never the machine that lpctl runs on.
package arch

// Arch is a processor.
type Arch interface {
	// Decode decodes the instruction at the start of code.
	Decode(code []byte) (Insn, error)
	// Filler returns how many bytes at the start of code do nothing, or end the program, and are put between functions: those of
	// a no-op, of a trap, zeros. It is 0 for other code.
	Filler(code []byte) int
	// Argument finds out what an argument, of which 0 is the first, is at a call or jump whose relocated field is at an offset,
	// from the instructions in front of it as far as nothing leads into them. relocated tells of fields in [from, to).
	Argument(code []byte, call uint64, n int, relocated func(from, to uint64) bool) Value
	// AllOnes tells whether code makes a number of all ones, of the size of a pointer, or does not decode.
	AllOnes(code []byte) bool
}

// Value is what is known of an argument: a number, or the address that the relocated field of an instruction means.
type Value struct {
	Known  bool
	Number int64
	// Start and End are where that instruction is; both are 0 if there is none.
	Start, End uint64
}
