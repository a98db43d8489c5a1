// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"encoding/hex"
	"os"
	"syscall"
	"time"
)

// Hash names a patch object in the kernel.
type Hash [HashLen]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Patch is all that the kernel needs to know of a patch.
type Patch struct {
	Name      string
	Hash      Hash
	File      *os.File // the patch file; its segments are mapped into targets
	Images    []Image
	Segments  []Segment
	Sites     []Site
	Functions []Function
	Fixups    []Fixup
	Pin       uint64 // virtual address of a word that forbids an unload while it is not 0; 0: none
}

// Image is an ELF file that the patch refers to. Addresses are link-time ones, page aligned.
type Image struct {
	Name       string   // for messages
	File       *os.File // the kernel looks for mappings of its inode
	Flags      ImageFlags
	TextOffset uint64 // file offset of the executable segment
	TextVaddr  uint64
	SpanStart  uint64
	SpanEnd    uint64
	BuildID    []byte // that the file must have; empty if the patch is for one without
}

// Segment is a part of the patch file to map.
type Segment struct {
	Offset uint64 // in the file, page aligned
	Vaddr  uint64 // in the patch, page aligned
	Size   uint64 // bytes
	Prot   SegmentProt
}

// Site is a place in an image that the patch overwrites.
type Site struct {
	Kind   SiteKind
	Symbol string
	Image  uint32 // index
	Vaddr  uint64 // link-time address of the first byte
	Old    []byte // expected bytes
	New    []byte // SiteKindBytes: as many as Old
	Target uint64 // SiteKindJump: address in the patch
}

// Function is a range of old code, in link-time addresses, that must be quiescent.
type Function struct {
	Symbol string
	Image  uint32
	Start  uint64
	End    uint64 // one past the last byte
}

// Verb is an operation on a target.
type Verb string

// The verbs of the kernel.
const (
	VerbCheck   Verb = "check" // all that VerbApply does, except for writing
	VerbLoad    Verb = "load"
	VerbApply   Verb = "apply" // loads first if needed
	VerbRestore Verb = "restore"
	VerbUnload  Verb = "unload"
	// VerbRecount counts the threads that Report.ActiveThreads tells of again. It changes nothing, and does not stop a target
	// that has none.
	VerbRecount Verb = "recount"
)

// Target is a process.
type Target struct {
	PID       int
	StartTime uint64 // field 22 of /proc/PID/stat, in clock ticks; 0 does not guard against a reused pid
}

// Options limit an operation.
type Options struct {
	MaxStop time.Duration // limit of one stop window; 0 is the kernel's default, 100 ms
	Timeout time.Duration // how long to retry while a thread is in the way
	// AllowActive names functions whose old body may be in use when they are replaced; it is safe for those only of which
	// the builder of the patch proved it.
	AllowActive []string
	// Replace has an apply or a check restore all other patches that are applied, in the same window.
	Replace bool
	// Supersede has an apply or a check restore these patches in the same window, those of them that are applied.
	Supersede []Hash
}

// Info is what the module is and can do.
type Info struct {
	Version  string
	TaskWork string // how task_work_add was found: "export", "kprobe" or "built-in"
	Patches  int    // sealed patch objects
	Targets  int    // processes with at least one patch
	Gates    int    // gates queued to threads that have not run since
	Keyring  int    // serial number of the keyring .lpatch, with the certificates that are trusted; 0: the kernel cannot verify
	// SignatureRequired says that patches without a valid signature are refused.
	SignatureRequired bool
}

// Gate is a thread that slept through a stop window and has not run since: it holds the module.
type Gate struct {
	TID  int
	PID  int    // of its process
	Comm string // of its process
}

// Report is the outcome of an operation on a target, or the state of a patch in a target.
type Report struct {
	Patch     string
	Hash      Hash
	Verb      Verb // empty in a status
	PID       int
	Comm      string
	State     State
	Since     time.Time // of the last change of state
	Functions int       // sites that redirect a function
	Values    int       // variables, of one or more sites
	Threads   int       // that were stopped
	Attempts  int       // stop windows that were opened

	Stop          time.Duration // the stop window of the last attempt
	StopLimit     time.Duration
	LongestThread time.Duration // the longest that any one thread was held
	Gate          time.Duration // parts of the window
	Barrier       time.Duration
	Check         time.Duration
	Write         time.Duration
	Release       time.Duration
	Lock          time.Duration // how long mmap_lock was held for read, around the window

	MappedAt    uint64 // address of the patch in the target
	MappedBytes uint64

	Refusal  Refusal
	Errno    syscall.Errno
	Message  string
	TID      int    // the thread that was in the way
	Function string // the function that was in the way

	// ActiveThreads is how many threads were let finish in code from before the patch was applied or restored and were there
	// when somebody looked last; of a VerbCheck, how many would be. It may be too high, never too low.
	ActiveThreads  int
	ActiveTID      int    // one of them; 0: it is not known which
	ActiveFunction string // the old function that this one is in
	ActivePatch    string // the patch that it is in, if it is in no old function

	Layer int // in a status, of an applied patch: its place among the target's applied patches, 1 for the first
}
