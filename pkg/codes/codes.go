// SPDX-License-Identifier: GPL-2.0

// Package codes has the reasons for which no patch is built. Where a comment is above several, it is for all of them. The table of the
// guide for authors is made of the comments.
package codes

//go:generate go run ../../scripts/codetable codes.go ../../Documentation/patch-author-guide.md

// Code is a reason for which no patch is built. Programs may rely on it: it keeps its name and meaning.
type Code string

// Of lpctl build.
const (
	// AbsoluteCode, LargeData, RelocationOverflow, UnsupportedRelocation, TLSModel: the objects were compiled with other flags
	// than the target (`-fPIE`, `-fPIC`, code model); use its flags
	AbsoluteCode          Code = "absolute-code"
	LargeData             Code = "large-data"
	RelocationOverflow    Code = "relocation-overflow"
	UnsupportedRelocation Code = "unsupported-relocation"
	TLSModel              Code = "tls-model"

	// AlignmentTooLarge: new data aligned above a page; a patch is aligned to pages
	AlignmentTooLarge Code = "alignment-too-large"

	// CallerUnknown: `dlsym`, `dlopen` and the like look whose code calls them, and know no patch; leave the call where it does
	// not change, or `--caller-ok`
	CallerUnknown Code = "caller-unknown"

	// ClassChanged: virtual functions or type information of a class; leave them as they were
	ClassChanged Code = "class-changed"

	// ClosureRenumbered, LocalClassRenumbered: lambda expressions, or local classes of one name, came or went in front of a
	// changed one, or several changed; put new ones behind, change one at a time. Closures of Rust are told by debug information
	// alone, so `--no-debug-info-ok` does not help there: compile with `-g`
	ClosureRenumbered    Code = "closure-renumbered"
	LocalClassRenumbered Code = "local-class-renumbered"

	// ConstructorChanged: what runs at start or exit; do it on first use
	ConstructorChanged Code = "constructor-changed"

	// CoroutineChanged: those that are suspended have kept what the old code put there; change what the coroutine calls, or
	// `--layout-ok` if none is suspended
	CoroutineChanged Code = "coroutine-changed"

	// DamagedObject: build the object again
	DamagedObject Code = "damaged-object"

	// DataAlignmentChanged, DataSectionChanged, DataSizeChanged, TLSChanged: size, alignment or kind of a variable; give the new
	// one another name
	DataAlignmentChanged Code = "data-alignment-changed"
	DataSectionChanged   Code = "data-section-changed"
	DataSizeChanged      Code = "data-size-changed"
	TLSChanged           Code = "tls-changed"

	// DataInitialiserChanged, DataPointerChanged, DataMerged: the initial value of a variable; `--data`, or another name
	DataInitialiserChanged Code = "data-initialiser-changed"
	DataPointerChanged     Code = "data-pointer-changed"
	DataMerged             Code = "data-merged"

	// DefinitionGone: the fix removes a function or variable of which there is another one of its name, which the rest of the
	// program would take; keep it
	DefinitionGone Code = "definition-gone"

	// DefinitionNew: the fix defines what the program has from a library; give it another name. Or it gives what is found by name
	// (`dlsym`) another visibility, or has only new functions that are; leave that, or restart the program
	DefinitionNew Code = "definition-new"

	// EnumChanged: an enumerator has another value, or is gone, and the program may have stored the old one, be it in a number; put
	// new ones behind, or `--layout-ok`
	EnumChanged Code = "enum-changed"

	// FixIncomplete: the fix is refused for a file that this one needs, or that needs it; a half may rely on the other
	FixIncomplete Code = "fix-incomplete"

	// FunctionMoved: the function came from a file that is not among the old objects, or brought a static variable along; leave it
	// there
	FunctionMoved Code = "function-moved"

	// FunctionTooShort: no room for a jump; change its caller instead
	FunctionTooShort Code = "function-too-short"

	// GuardNew: a static variable that the program has gets an initialiser that is code, and would be initialised again; leave the
	// initialiser, or give it another name
	GuardNew Code = "guard-new"

	// IFUNCChanged, IFUNCReference: the resolver has run, or the target has no result of it; use functions it calls already
	IFUNCChanged   Code = "ifunc-changed"
	IFUNCReference Code = "ifunc-reference"

	// ImportAmbiguous, ImportData, ImportIFUNC, ImportLibraryMissing, ImportNotDefined, ImportNotInImage, ImportStatic, ImportTLS,
	// ImportWeak, InterposedData: a symbol of a library that the target does not use (in this way); use what it uses, or name the
	// library with `--lib`
	ImportAmbiguous      Code = "import-ambiguous"
	ImportData           Code = "import-data"
	ImportIFUNC          Code = "import-ifunc"
	ImportLibraryMissing Code = "import-library-missing"
	ImportNotDefined     Code = "import-not-defined"
	ImportNotInImage     Code = "import-not-in-image"
	ImportStatic         Code = "import-static"
	ImportTLS            Code = "import-tls"
	ImportWeak           Code = "import-weak"
	InterposedData       Code = "interposed-data"

	// InnerReference: the new code refers into the middle of an old function; leave that function out
	InnerReference Code = "inner-reference"

	// InstancesDiffer: an inline function changed in one object and not, or otherwise, in another; build all with the fix
	InstancesDiffer Code = "instances-differ"

	// Instrumented: objects compiled with sanitizers or counters (`-fsanitize=`, `--coverage`); compile them, and the target,
	// without
	Instrumented Code = "instrumented"

	// InterposedFunction: the library would call a function that it exports for the first time, and a program may define it, too;
	// name the program with `--lib`, or call what old code calls
	InterposedFunction Code = "interposed-function"

	// JoinedObject: an object of `ld -r` has several functions or variables of one name; give the objects that were joined
	JoinedObject Code = "joined-object"

	// LabelAddress: old code takes the address of a label, which the program may have stored, and new code jumps to what it does not
	// read from a constant table there and then; leave the function as it was
	LabelAddress Code = "label-address"

	// LabelMoved: a label of assembly, the room of zeros behind it, or a number with a name (`.set`) is another one than before, and
	// the program has the old one; leave it, or give the new one another name
	LabelMoved Code = "label-moved"

	// LabelsInTable: a table or a symbol of the program has addresses within the function; leave the function as it was, or
	// restart the program
	LabelsInTable Code = "labels-in-table"

	// LinkChanged: with the fix the target is linked with other arguments, or another script of the linker; make the change in a
	// source, or leave it out
	LinkChanged Code = "link-changed"

	// LinkerSymbol: a symbol of the linker's (`etext`) of which the target does not tell the place; do without it
	LinkerSymbol Code = "linker-symbol"

	// LTO: the target or an object was compiled with `-flto`, and what the linker made of it is not there: it is with `build
	// source` and `build deb`, but not with `-fno-use-linker-plugin`, a cache of thin LTO, or distributed thin LTO
	LTO Code = "lto"

	// NeedsSymbols: the target is stripped, and the old objects do not tell where this symbol is; give all old objects, or its
	// unstripped build or debug file with `--symbols`
	NeedsSymbols Code = "needs-symbols"

	// NewTLS: a new thread-local variable; use ordinary storage
	NewTLS Code = "new-tls"

	// NoCode, UndecodableCode: a function in assembly or in a section of data; leave it out
	NoCode          Code = "no-code"
	UndecodableCode Code = "undecodable-code"

	// NoDebugInfo: the objects do not say which types they use (compiled without `-g`, or with `-g1`, `-gsplit-dwarf`,
	// `-fdebug-types-section`); compile old and new with `-g`, or `--no-debug-info-ok`
	NoDebugInfo Code = "no-debug-info"

	// NoSuchVariable, NotAVariable, SizeDiffers, ThreadLocal, VariableAmbiguous, VariableConstant, VariableCopied,
	// VariableHasPointers, VariableSetTwice: `--set` or `--data` names what cannot be set
	NoSuchVariable      Code = "no-such-variable"
	NotAVariable        Code = "not-a-variable"
	SizeDiffers         Code = "size-differs"
	ThreadLocal         Code = "thread-local"
	VariableAmbiguous   Code = "variable-ambiguous"
	VariableConstant    Code = "variable-constant"
	VariableCopied      Code = "variable-copied"
	VariableHasPointers Code = "variable-has-pointers"
	VariableSetTwice    Code = "variable-set-twice"

	// NotSupported: the target is a program in Go, Java's virtual machine or bytecode, or a native image of GraalVM: functions
	// have tables of the run time, or are in no file
	NotSupported Code = "not-supported"

	// NotFunctionSections: compile old and new with `-ffunction-sections -fdata-sections`
	NotFunctionSections Code = "not-function-sections"

	// ObjectAmbiguous, StaticAmbiguous, SymbolAmbiguous: several places fit; give the new statics names of their own
	ObjectAmbiguous Code = "object-ambiguous"
	StaticAmbiguous Code = "static-ambiguous"
	SymbolAmbiguous Code = "symbol-ambiguous"

	// ObjectGone, ObjectNotFound, ObjectUnseen: an object differs, or is there on one side only, or was made out of sight, and
	// whether the target changes is not known; see "Which objects count"
	ObjectGone     Code = "object-gone"
	ObjectNotFound Code = "object-not-found"
	ObjectUnseen   Code = "object-unseen"

	// OnAdded, OnPointer, OnUnwind, OnValue: what the fix changes, or calls, is the patch's that is named with `--on`; build one
	// patch of all fixes, see "One fix after another"
	OnAdded   Code = "on-added"
	OnPointer Code = "on-pointer"
	OnUnwind  Code = "on-unwind"
	OnValue   Code = "on-value"

	// OnForm, OnTarget: nothing can be built upon a patch of this kind or with this target, or it is not what the target has
	// applied
	OnForm   Code = "on-form"
	OnTarget Code = "on-target"

	// OnUnnamed: with `--on`, the new code refers to something that the target has and no old object names, which a patch below
	// may have removed; give all objects of the source with the fixes before, or give what is new another name
	OnUnnamed Code = "on-unnamed"

	// PartOfTarget: `--not-part-of` names an object that the target has
	PartOfTarget Code = "part-of-target"

	// ReferenceAmbiguous: old references to one name lead to different places, or `--wrap` leads it elsewhere; refer to what is
	// meant by its own name
	ReferenceAmbiguous Code = "reference-ambiguous"

	// SharedCode, SharedData: compiler or linker made one function of several with the same code, or one constant of several that
	// held the same; change all of them alike, or a caller
	SharedCode Code = "shared-code"
	SharedData Code = "shared-data"

	// StackChanged: the new code wants a stack on which code can run, or no longer does (nested functions whose address is taken,
	// `.note.GNU-stack` of assembly); do without, or restart the program
	StackChanged Code = "stack-changed"

	// StartCodeChanged: code that runs only as the program or a thread starts; do the work later, or `--start-code-ok` for a patch
	// that is put into the file
	StartCodeChanged Code = "start-code-changed"

	// StaticRemoved: new code only reads a static variable that the program has written (the compiler takes its first value then),
	// or only writes it: remove a declaration that nothing reads, or give it `__attribute__((used))`
	StaticRemoved Code = "static-removed"

	// StructLayoutChanged: members, bases or captures; keep them as they were, or `--layout-ok` for what is short-lived
	StructLayoutChanged Code = "struct-layout-changed"

	// TableChanged: entries that are found by the start and end of their section, as linker sets and tables of exceptions are;
	// leave them as they were, or restart the program
	TableChanged Code = "table-changed"

	// TargetDiffers: the old objects are not what the target runs; use its source, compiler and flags
	TargetDiffers Code = "target-differs"

	// TargetUnfit: a file of the package cannot be read for a patch, as the sentence says; the package's others are not concerned,
	// so leave it, or build that one with `build source`
	TargetUnfit Code = "target-unfit"

	// TooManySites: leave some values out
	TooManySites Code = "too-many-sites"

	// Unexplained: the program that the build links differs in more than the patch has, by how it was linked: another definition
	// of a name, another order of constructors, a changed table; make the fix without it, or restart the program
	Unexplained Code = "unexplained"

	// UnexplainedSection: bytes that no function or variable covers, as of assembly without types and sizes; give them a symbol
	// with both
	UnexplainedSection Code = "unexplained-section"

	// UnnamedData: writable data without a name; give the variable a name
	UnnamedData Code = "unnamed-data"

	// VariableTypeChanged: what a variable holds is now taken for something else; give the new one another name, or `--layout-ok
	// VARIABLE` if it means the same
	VariableTypeChanged Code = "variable-type-changed"
)

// Of lpctl mitigate, which has some in common with lpctl build. What to do instead is in the sentence that comes with them.
const (
	// CannotMove: an instruction that would be overwritten cannot run elsewhere, or something leads into the middle of what would be
	CannotMove Code = "cannot-move"
	// ColdPart: it is the rarely executed part of a function
	ColdPart Code = "cold-part"
	// CompilerClone: the compiler made it of another function
	CompilerClone Code = "compiler-clone"
	// ConstantImpossible: the function does not return such a constant
	ConstantImpossible Code = "constant-impossible"
	// ExtentUnknown: how long the function is is not known
	ExtentUnknown Code = "extent-unknown"
	// FunctionAmbiguous: several functions have this name
	FunctionAmbiguous Code = "function-ambiguous"
	// Import: the function is another file's
	Import Code = "import"
	// IndirectFunction: the symbol is that of code that chooses an implementation
	IndirectFunction Code = "indirect-function"
	// NeverReturns: the function does not return
	NeverReturns Code = "never-returns"
	// NoSuchFunction: the target has no function of this name
	NoSuchFunction Code = "no-such-function"
	// NoUnwindTable: no unwind table of the file has the function
	NoUnwindTable Code = "no-unwind-table"
	// NotAFunction: there is no start of a function
	NotAFunction Code = "not-a-function"
	// ReturnsOtherwise: the function returns something that is no number
	ReturnsOtherwise Code = "returns-otherwise"
	// TypeUnknown: what the function returns is not known
	TypeUnknown Code = "type-unknown"
)
