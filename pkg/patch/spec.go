// SPDX-License-Identifier: GPL-2.0

// Package patch defines the patch file format NAME.lp: its descriptor (Spec), and how a patch file is read and written. It
// never looks at a running system; pkg/apply matches a Spec with the mappings of a process.
//
// Other programs may use this package. Within a minor version its exported API only grows: nothing is removed or changed.
// Files with another FormatVersion are rejected.
package patch

import (
	"encoding/hex"

	"lpatch/pkg/arch"
)

// FormatVersion is the version of the descriptor. Read rejects files of any other version.
const FormatVersion = 1

// Limits that the kernel module enforces as well (Documentation/netlink/lpatch.yaml). Read rejects files that exceed them.
const (
	MaxSiteLen  = 16   // bytes overwritten by one site
	MaxNameLen  = 127  // bytes of the name of a patch, symbol or image
	MaxImages   = 16   // images of one patch
	MaxSegments = 8    // loadable segments of one patch
	MaxSites    = 4096 // sites of one patch
	MaxFixups   = 1 << 20
)

// MaxRelies is the maximum number of entries of Spec.Relies. These are not passed to the kernel module.
const MaxRelies = 1 << 16

// MaxDescription is the maximum length in bytes of a free-form text such as the description.
const MaxDescription = 4096

// FirstCallSuffix is the suffix of symbols that name an entry stub, which registers the unwind tables of the patch at the
// first call and then enters the new function. The symbol without the suffix is the new function.
const FirstCallSuffix = ".first"

// PassSuffix is the suffix of symbols that name a stub which jumps to a function of a lower patch unchanged. See Spec.Passes.
const PassSuffix = ".pass"

// Hex is a byte string that is encoded as hexadecimal digits in JSON.
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
	Tool        string     `json:"tool"` // name and version of the tool that built the patch
	Images      []Image    `json:"images"`
	Sites       []Site     `json:"sites"`
	Functions   []Function `json:"functions"`
	Fixups      []Fixup    `json:"fixups,omitempty"`
	// Pin is the virtual address in the patch of an 8-byte word that becomes nonzero once the program holds pointers into the
	// patch. From then on the patch cannot be unloaded. 0 means that there is no such word.
	Pin uint64 `json:"pin,omitempty"`
	// Relies lists the functions that the patch was built against in the form that they have in the image, including those
	// that it replaces. The patch must not be combined with another patch that replaces one of them. The field is empty in
	// files that were written before it was introduced.
	Relies []Reliance `json:"relies,omitempty"`
	// Upon lists the patches that must be applied below this one, in order of application. The patch was built against the
	// image as modified by them.
	Upon []Upon `json:"upon,omitempty"`
	// Mitigation is set if the patch is not a fix but disables a function until a fix is available.
	Mitigation *Mitigation `json:"mitigation,omitempty"`
	// LeftOut lists the object files that differ between the old and the new source but are not linked into any image. It is
	// shown to people only.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// Upon is a lower patch that this patch was built upon. The file of the lower patch, which the target maps, is also an entry
// of Spec.Images.
type Upon struct {
	Name  string `json:"name"`
	Image int    `json:"image"`
}

// MitigationSpan is the size in memory, in bytes, of a patch with a Mitigation: one page each for tables, code and data. It
// distinguishes most other patches from a mitigation without reading their files.
const MitigationSpan = 3 * arch.PageSize

// Mitigation describes what a mitigation does instead of executing its function.
type Mitigation struct {
	Action string `json:"action"` // "return 0", "log" or "trap"; informational
	Hits   uint64 `json:"hits"`   // vaddr in the patch of the 8-byte counter of calls
}

// LeftOut is an object file that differs but does not contribute to the patch.
type LeftOut struct {
	Object string `json:"object"`
	Why    string `json:"why"` // how the builder established that it is not linked into the target
}

// Image is an ELF file that must be mapped by the target.
type Image struct {
	Name    string `json:"name"`             // base name of the file; for messages only
	Soname  string `json:"soname,omitempty"` // DT_SONAME of a shared object
	BuildID Hex    `json:"build_id,omitempty"`
	SHA256  Hex    `json:"sha256"` // of the file content of the PT_LOAD segments, in order; identifies an image without a build-id
	Fixed   bool   `json:"fixed"`  // ET_EXEC: addresses are absolute and the load bias is 0
	// Near requests that the patch be mapped within rel32 reach of the whole image.
	Near bool `json:"near"`
	// TextOffset, TextVaddr and TextSize describe the executable PT_LOAD that contains the sites, extended to page
	// boundaries. The kernel module computes the load bias as the start of the mapping of TextOffset, minus TextVaddr.
	TextOffset uint64 `json:"text_offset"`
	TextVaddr  uint64 `json:"text_vaddr"`
	TextSize   uint64 `json:"text_size"`
	// SpanStart and SpanEnd delimit all PT_LOADs: the lowest virtual address, rounded down to a page, and one past the
	// highest.
	SpanStart uint64 `json:"span_start"`
	SpanEnd   uint64 `json:"span_end"`
}

// SiteKind tells how the new bytes of a site are produced.
type SiteKind string

const (
	// SiteJump writes "jmp rel32" to Target, a virtual address in the patch. Length is 5 bytes.
	SiteJump SiteKind = "jump"
	// SiteBytes writes New, of Length bytes.
	SiteBytes SiteKind = "bytes"
)

// Site is a range of bytes in an image that the patch overwrites.
type Site struct {
	Kind   SiteKind `json:"kind"`
	Image  int      `json:"image"`  // index into Spec.Images
	Symbol string   `json:"symbol"` // name of the function or variable, for messages
	Vaddr  uint64   `json:"vaddr"`  // link-time address of the first overwritten byte (after endbr64)
	Old    Hex      `json:"old"`    // expected bytes; their number is the length of the site
	New    Hex      `json:"new,omitempty"`
	Target uint64   `json:"target,omitempty"` // SiteJump: vaddr in the patch
}

// Function is a function that the patch replaces. No thread may execute its old body when a site is overwritten; see
// MayBeActive for the exception.
type Function struct {
	Symbol string  `json:"symbol"`
	Image  int     `json:"image"`
	Bodies []Range `json:"bodies"` // the old body and its .cold part, [Start, End) in link-time addresses
	Why    string  `json:"why"`    // why the function is in the patch ("changed", "inlines foo", ...); informational
	// MayBeActive is set if the builder proved that calls in progress may finish in the old body: no branch targets the
	// overwritten bytes, and the function is not a compiler-generated clone with a modified signature.
	MayBeActive bool `json:"may_be_active"`
}

// Reliance is a function that the new code inlined, or whose properties the compiler used when it optimised the new code
// (interprocedural analysis).
type Reliance struct {
	Symbol string `json:"symbol"`
	Image  int    `json:"image"`
	Start  uint64 `json:"start"` // link-time address
}

// Range is a half-open range of link-time addresses.
type Range struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
}

// FixupKind is a relocation that the kernel module applies when it maps the patch.
type FixupKind string

// The kinds of fixups. base is the load bias of the image, or the address of the patch itself.
const (
	FixupAbs64 FixupKind = "abs64" // *(u64 *)place = base + addend
	FixupAbs32 FixupKind = "abs32" // *(u32 *)place = base + addend; must be below 2^31, so that it is valid as R_X86_64_32 and R_X86_64_32S (non-PIE code)
	FixupPC32  FixupKind = "pc32"  // *(s32 *)place = base + addend - address of place
)

// SelfImage is the value of Fixup.Image that denotes the patch itself.
const SelfImage = -1

// Fixup is one relocation that the kernel module applies.
type Fixup struct {
	Kind   FixupKind `json:"kind"`
	Image  int       `json:"image"` // index into Spec.Images, or SelfImage
	Place  uint64    `json:"place"` // vaddr in the patch
	Addend int64     `json:"addend"`
}
