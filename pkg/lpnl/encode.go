// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"encoding/binary"
	"math"

	"github.com/mdlayher/netlink"
)

// maxChunk is the maximum size in bytes of the attributes of one request: well below the default socket buffer, and half of
// the maximum size of a netlink attribute.
const maxChunk = 32 << 10

// fixupsPerChunk is the maximum number of fixups in one attribute.
const fixupsPerChunk = 1024

// commands maps each verb to its netlink command.
var commands = map[Verb]uint8{
	VerbCheck:   CmdApply,
	VerbLoad:    CmdLoad,
	VerbApply:   CmdApply,
	VerbRestore: CmdRestore,
	VerbUnload:  CmdUnload,
	VerbRecount: CmdRecount,
}

func encodePatchNew(p *Patch) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(AttrPatchName, p.Name)
	ae.Bytes(AttrPatchHash, p.Hash[:])
	ae.Uint32(AttrPatchFD, uint32(p.File.Fd()))
	if p.Pin != 0 {
		ae.Uint64(AttrPatchPin, p.Pin)
	}
	return ae.Encode()
}

func encodePatchSeal(id uint32) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(AttrPatchID, id)
	return ae.Encode()
}

// encodePatchAdd encodes the tables of a patch as attributes, split into as many requests as necessary.
func encodePatchAdd(id uint32, p *Patch) ([][]byte, error) {
	head, err := encodePatchSeal(id)
	if err != nil {
		return nil, err
	}
	rows, err := encodeRows(p)
	if err != nil {
		return nil, err
	}
	var chunks [][]byte
	var chunk []byte
	for _, row := range rows {
		if len(chunk) > 0 && len(chunk)+len(row) > maxChunk {
			chunks = append(chunks, chunk)
			chunk = nil
		}
		if len(chunk) == 0 {
			chunk = append(chunk, head...)
		}
		chunk = append(chunk, row...)
	}
	if len(chunk) > 0 {
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

// encodeRows encodes each row of each table as one attribute. Images come first.
func encodeRows(p *Patch) ([][]byte, error) {
	var rows [][]byte
	var first error
	add := func(encode func(*netlink.AttributeEncoder)) {
		ae := netlink.NewAttributeEncoder()
		encode(ae)
		b, err := ae.Encode()
		if err != nil && first == nil {
			first = err
		}
		rows = append(rows, b)
	}
	for i := range p.Images {
		add(func(ae *netlink.AttributeEncoder) { ae.Nested(AttrPatchImage, p.Images[i].encode) })
	}
	for i := range p.Segments {
		add(func(ae *netlink.AttributeEncoder) { ae.Nested(AttrPatchSegment, p.Segments[i].encode) })
	}
	for i := range p.Sites {
		add(func(ae *netlink.AttributeEncoder) { ae.Nested(AttrPatchSite, p.Sites[i].encode) })
	}
	for i := range p.Functions {
		add(func(ae *netlink.AttributeEncoder) { ae.Nested(AttrPatchFunction, p.Functions[i].encode) })
	}
	for rest := p.Fixups; len(rest) > 0; {
		n := min(len(rest), fixupsPerChunk)
		add(func(ae *netlink.AttributeEncoder) { ae.Bytes(AttrPatchFixups, encodeFixups(rest[:n])) })
		rest = rest[n:]
	}
	return rows, first
}

func (i *Image) encode(ae *netlink.AttributeEncoder) error {
	ae.String(AttrImageName, i.Name)
	ae.Uint32(AttrImageFD, uint32(i.File.Fd()))
	ae.Uint32(AttrImageFlags, uint32(i.Flags))
	ae.Uint64(AttrImageTextOffset, i.TextOffset)
	ae.Uint64(AttrImageTextVaddr, i.TextVaddr)
	ae.Uint64(AttrImageSpanStart, i.SpanStart)
	ae.Uint64(AttrImageSpanEnd, i.SpanEnd)
	if len(i.BuildID) > 0 {
		ae.Bytes(AttrImageBuildID, i.BuildID)
	}
	return nil
}

func (s *Segment) encode(ae *netlink.AttributeEncoder) error {
	ae.Uint64(AttrSegmentOffset, s.Offset)
	ae.Uint64(AttrSegmentVaddr, s.Vaddr)
	ae.Uint64(AttrSegmentSize, s.Size)
	ae.Uint32(AttrSegmentProt, uint32(s.Prot))
	return nil
}

func (s *Site) encode(ae *netlink.AttributeEncoder) error {
	ae.Uint32(AttrSiteKind, uint32(s.Kind))
	ae.String(AttrSiteSymbol, s.Symbol)
	ae.Uint32(AttrSiteImage, s.Image)
	ae.Uint64(AttrSiteVaddr, s.Vaddr)
	ae.Bytes(AttrSiteOld, s.Old)
	if s.Kind == SiteKindJump {
		ae.Uint64(AttrSiteTarget, s.Target)
	} else {
		ae.Bytes(AttrSiteNew, s.New)
	}
	return nil
}

func (f *Function) encode(ae *netlink.AttributeEncoder) error {
	ae.String(AttrFunctionSymbol, f.Symbol)
	ae.Uint32(AttrFunctionImage, f.Image)
	ae.Uint64(AttrFunctionStart, f.Start)
	ae.Uint64(AttrFunctionEnd, f.End)
	return nil
}

// encodeFixups encodes fixups as an array of the kernel's struct lpatch_fixup.
func encodeFixups(list []Fixup) []byte {
	b := make([]byte, 0, len(list)*FixupSize)
	for _, f := range list {
		b = binary.NativeEndian.AppendUint64(b, f.Place)
		b = binary.NativeEndian.AppendUint64(b, uint64(f.Addend))
		b = binary.NativeEndian.AppendUint32(b, uint32(f.Image))
		b = binary.NativeEndian.AppendUint32(b, uint32(f.Kind))
	}
	return b
}

func encodeOp(verb Verb, hash Hash, t Target, o Options) ([]byte, error) {
	if t.PID <= 0 || t.PID > math.MaxInt32 {
		return nil, errPID(t.PID)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(AttrOpHash, hash[:])
	ae.Uint32(AttrOpPID, uint32(t.PID))
	for _, other := range o.Supersede {
		ae.Bytes(AttrOpReplace, other[:])
	}
	if t.StartTime != 0 {
		ae.Uint64(AttrOpStartTime, t.StartTime)
	}
	var flags OpFlags
	if verb == VerbCheck {
		flags |= OpFlagsDryRun
	}
	if o.Replace {
		flags |= OpFlagsReplace
	}
	if flags != 0 {
		ae.Uint32(AttrOpFlags, uint32(flags))
	}
	if o.MaxStop > 0 {
		ae.Uint64(AttrOpMaxStop, uint64(o.MaxStop.Nanoseconds()))
	}
	if o.Timeout > 0 {
		ae.Uint64(AttrOpTimeout, uint64(o.Timeout.Nanoseconds()))
	}
	for _, symbol := range o.AllowActive {
		ae.String(AttrOpAllowActive, symbol)
	}
	return ae.Encode()
}
