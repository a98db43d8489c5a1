// SPDX-License-Identifier: GPL-2.0

// Package patch defines the patch file, NAME.lp: what it says (Spec) and how it is read and written.
// It never looks at a running system; pkg/apply joins a Spec with one.
//
// Other programs may use this package. Within a minor version what it exports is not removed or changed, but added to; files of
// another FormatVersion are refused.
package patch

import (
	"encoding/hex"

	"lpatch/pkg/arch"
)

// FormatVersion is the version of the descriptor; a reader refuses any other.
const FormatVersion = 1

// Limits that the kernel enforces as well (Documentation/netlink/lpatch.yaml); a file beyond them is refused when read.
const (
	MaxSiteLen  = 16   // bytes overwritten at one site
	MaxNameLen  = 127  // bytes in a patch, symbol or image name
	MaxImages   = 16   // images of one patch
	MaxSegments = 8    // loadable segments of one patch
	MaxSites    = 4096 // sites of one patch
	MaxFixups   = 1 << 20
)

// MaxRelies bounds the functions that a patch relies on; the kernel does not know of them.
const MaxRelies = 1 << 16

// MaxDescription bounds a text for people, in bytes.
const MaxDescription = 4096

// FirstCallSuffix ends the names of the symbols where sites lead if the first call of all has something to do; what
// stands before it is the new function.
const FirstCallSuffix = ".first"

// PassSuffix ends the names of the symbols where sites lead that leave a function as a patch below has it.
const PassSuffix = ".pass"

// Hex is a byte string that JSON shows in hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Spec is the descriptor of a patch: the JSON content of the file's section ".lpatch".
type Spec struct {
	Format      int        `json:"format"`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	About       *About     `json:"about,omitempty"`
	Tool        string     `json:"tool"` // name and version of the builder
	Images      []Image    `json:"images"`
	Sites       []Site     `json:"sites"`
	Functions   []Function `json:"functions"`
	Fixups      []Fixup    `json:"fixups,omitempty"`
	// Pin is the vaddr of an 8-byte word of the patch that is not 0 once the program holds pointers into the patch: from
	// then on it cannot be unloaded. 0: there is no such word.
	Pin uint64 `json:"pin,omitempty"`
	// Relies are the functions of the images that the patch was made for as they are there, those that it replaces too: beside
	// a patch that replaces one of them it must not be applied. Files of before the field have none.
	Relies []Reliance `json:"relies,omitempty"`
	// Upon are the patches that must be applied under this one, in the order in which they are: it was built for what they make
	// of the image.
	Upon []Upon `json:"upon,omitempty"`
	// Mitigation is not nil for a patch that is no fix: it keeps a function from doing harm until there is one.
	Mitigation *Mitigation `json:"mitigation,omitempty"`
	// LeftOut are the objects that differ between the old and the new source and are no part of any image; for people.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// Upon is a patch under another one. Its file, as targets map it, is an image of that.
type Upon struct {
	Name  string `json:"name"`
	Image int    `json:"image"`
}

// MitigationSpan is the size in memory of a patch with a Mitigation, by which it is known from most others without a look at its file: a
// page each of tables, code and data.
const MitigationSpan = 3 * arch.PageSize

// Mitigation is what a patch does in place of its one function.
type Mitigation struct {
	Action string `json:"action"` // "return 0", "log", "trap": for people
	Hits   uint64 `json:"hits"`   // vaddr of the 8-byte word of the patch that counts the calls
}

// LeftOut is an object that differs and of which the patch has nothing.
type LeftOut struct {
	Object string `json:"object"`
	Why    string `json:"why"` // how it is known that it is no part of the target
}

// Image is an ELF file that must be mapped in the target.
type Image struct {
	Name    string `json:"name"`             // of the file, without its directory; for messages only
	Soname  string `json:"soname,omitempty"` // DT_SONAME of a shared object
	BuildID Hex    `json:"build_id,omitempty"`
	SHA256  Hex    `json:"sha256"` // over the file bytes of its PT_LOAD segments, in order; identifies an image without a build-id
	Fixed   bool   `json:"fixed"`  // ET_EXEC: addresses are absolute, the base is 0
	// Near asks for the patch to be mapped within reach of a rel32 of the whole image.
	Near bool `json:"near"`
	// TextOffset, TextVaddr and TextSize are those of the executable PT_LOAD that holds the sites, page aligned outwards:
	// the kernel finds the base as (start of the mapping of TextOffset) - TextVaddr.
	TextOffset uint64 `json:"text_offset"`
	TextVaddr  uint64 `json:"text_vaddr"`
	TextSize   uint64 `json:"text_size"`
	// Span is the lowest page-aligned vaddr and one past the highest of all PT_LOADs.
	SpanStart uint64 `json:"span_start"`
	SpanEnd   uint64 `json:"span_end"`
}

// SiteKind says how the new bytes of a site are made.
type SiteKind string

const (
	// SiteJump writes "jmp rel32" to Target, a vaddr in the patch; Length is 5.
	SiteJump SiteKind = "jump"
	// SiteBytes writes New, of Length bytes.
	SiteBytes SiteKind = "bytes"
)

// Site is a place in an image that the patch overwrites.
type Site struct {
	Kind   SiteKind `json:"kind"`
	Image  int      `json:"image"`  // index into Spec.Images
	Symbol string   `json:"symbol"` // the function's or variable's name, for messages
	Vaddr  uint64   `json:"vaddr"`  // link-time address of the first overwritten byte (after endbr64)
	Old    Hex      `json:"old"`    // expected bytes; its length is the site's
	New    Hex      `json:"new,omitempty"`
	Target uint64   `json:"target,omitempty"` // SiteJump: vaddr in the patch
}

// Function is a function that the patch replaces: its old body must be quiescent when a site is overwritten.
type Function struct {
	Symbol string  `json:"symbol"`
	Image  int     `json:"image"`
	Bodies []Range `json:"bodies"` // the old body and its .cold part, [Start, End) in link-time addresses
	Why    string  `json:"why"`    // why it is in the patch, for people ("changed", "inlines foo", ...)
	// MayBeActive tells that the builder proved that calls which are under way may finish in the old body: no branch leads
	// into the overwritten bytes, and the function is no clone of the compiler, with a signature of its own.
	MayBeActive bool `json:"may_be_active"`
}

// Reliance is a function that the new code has inlined, or of which the compiler used what it knew.
type Reliance struct {
	Symbol string `json:"symbol"`
	Image  int    `json:"image"`
	Start  uint64 `json:"start"` // its link-time address
}

// Range is a half-open range of link-time addresses.
type Range struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
}

// FixupKind is an address computation that the kernel does when it maps the patch.
type FixupKind string

// The computations. Base is that of the image, or of the patch itself.
const (
	FixupAbs64 FixupKind = "abs64" // *(u64 *)place = base + addend
	FixupAbs32 FixupKind = "abs32" // *(u32 *)place = base + addend; must be below 2^31 (non-PIE code, right as 32 and as 32S)
	FixupPC32  FixupKind = "pc32"  // *(s32 *)place = base + addend - address of place
)

// SelfImage as a Fixup's Image means the patch itself.
const SelfImage = -1

// Fixup is one address computation.
type Fixup struct {
	Kind   FixupKind `json:"kind"`
	Image  int       `json:"image"` // index into Spec.Images, or SelfImage
	Place  uint64    `json:"place"` // vaddr in the patch
	Addend int64     `json:"addend"`
}
