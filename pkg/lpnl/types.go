// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"encoding/hex"
	"os"
	"syscall"
	"time"
)

// Hash identifies a patch object in the kernel.
type Hash [HashLen]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Patch is everything that is transferred to the kernel for a patch.
type Patch struct {
	Name      string
	Hash      Hash
	File      *os.File // the patch file; its segments are mapped into targets
	Images    []Image
	Segments  []Segment
	Sites     []Site
	Functions []Function
	Fixups    []Fixup
	Pin       uint64 // virtual address of a word that prevents unloading while it is nonzero; 0: none
}

// Image is an ELF file that the patch refers to. Its addresses are link-time addresses and page aligned.
type Image struct {
	Name       string   // for messages
	File       *os.File // the kernel looks for mappings of the inode of this file
	Flags      ImageFlags
	TextOffset uint64 // file offset of the executable segment
	TextVaddr  uint64
	SpanStart  uint64
	SpanEnd    uint64
	BuildID    []byte // build-id that the file must have; empty if the patch is for a file without one
}

// Segment is a segment of the patch file to map.
type Segment struct {
	Offset uint64 // file offset, page aligned
	Vaddr  uint64 // address in the patch, page aligned
	Size   uint64 // bytes
	Prot   SegmentProt
}

// Site is a range of bytes in an image that the patch overwrites.
type Site struct {
	Kind   SiteKind
	Symbol string
	Image  uint32 // index into Patch.Images
	Vaddr  uint64 // link-time address of the first byte
	Old    []byte // expected bytes
	New    []byte // SiteKindBytes: same length as Old
	Target uint64 // SiteKindJump: address in the patch
}

// Function is a range of old code, in link-time addresses, that no thread may execute when a patch is applied.
type Function struct {
	Symbol string
	Image  uint32
	Start  uint64
	End    uint64 // one past the last byte
}

// Verb is an operation on a target.
type Verb string

// The verbs that the kernel implements.
const (
	VerbCheck   Verb = "check" // everything that VerbApply does except writing
	VerbLoad    Verb = "load"
	VerbApply   Verb = "apply" // loads the patch first if necessary
	VerbRestore Verb = "restore"
	VerbUnload  Verb = "unload"
	// VerbRecount updates the count that Report.ActiveThreads holds. It changes nothing else, and does not stop a target
	// whose count is zero.
	VerbRecount Verb = "recount"
)

// Target identifies a process.
type Target struct {
	PID       int
	StartTime uint64 // field 22 of /proc/PID/stat, in clock ticks; guards against a reused PID, unless it is 0
}

// Options limit an operation.
type Options struct {
	MaxStop time.Duration // maximum duration of one stop window; 0 selects the kernel's default, 100 ms
	Timeout time.Duration // how long to retry while a thread executes code that is to be replaced
	// AllowActive names functions that may be replaced while threads execute their old bodies. This is safe only for
	// functions for which the builder of the patch proved it (patch.Function.MayBeActive).
	AllowActive []string
	// Replace makes an apply or a check restore all other applied patches in the same stop window.
	Replace bool
	// Supersede makes an apply or a check restore those of the listed patches that are applied, in the same stop window.
	Supersede []Hash
}

// Info holds the version, capabilities and counters of the kernel module.
type Info struct {
	Version  string
	TaskWork string // how task_work_add was found: "export", "kprobe" or "built-in"
	Patches  int    // sealed patch objects
	Targets  int    // processes with at least one patch
	Gates    int    // gates queued to threads that have not run since the gate was queued
	Keyring  int    // serial number of the keyring .lpatch, which holds the trusted certificates; 0: the kernel cannot verify signatures
	// SignatureRequired is set if the kernel rejects patches without a valid signature.
	SignatureRequired bool
}

// Gate is a thread that slept through a stop window and has not run since. Until it runs, the module cannot be unloaded.
type Gate struct {
	TID  int
	PID  int    // its process
	Comm string // name of its process
}

// Report is the outcome of an operation on a target, or the state of a patch in a target.
type Report struct {
	Patch     string
	Hash      Hash
	Verb      Verb // empty in a status report
	PID       int
	Comm      string
	State     State
	Since     time.Time // time of the last state change
	Functions int       // number of sites that redirect a function
	Values    int       // number of variables written, each with one or more sites
	Threads   int       // number of threads that were stopped
	Attempts  int       // number of stop windows that were opened

	Stop          time.Duration // duration of the stop window of the last attempt
	StopLimit     time.Duration
	LongestThread time.Duration // the longest time that any one thread was held
	Gate          time.Duration // this and the next four are phases of the stop window
	Barrier       time.Duration
	Check         time.Duration
	Write         time.Duration
	Release       time.Duration
	Lock          time.Duration // how long mmap_lock was held for reading, around the window

	MappedAt    uint64 // address of the patch in the target
	MappedBytes uint64

	Refusal  Refusal
	Errno    syscall.Errno
	Message  string
	TID      int    // the thread that caused the refusal
	Function string // the function that caused the refusal

	// ActiveThreads is the number of threads that were allowed to finish in code from before the patch was applied or
	// restored, and still executed it when they were last counted. For VerbCheck it is the number of threads that would be.
	// It is an upper bound.
	ActiveThreads  int
	ActiveTID      int    // one of them; 0: unknown
	ActiveFunction string // the old function that this thread executes
	ActivePatch    string // the patch whose code it executes, if it is in no old function

	Layer int // status reports of applied patches: position in the order of application, starting with 1
}
