// SPDX-License-Identifier: GPL-2.0

package lpnl

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"syscall"
)

// signedMagic is the prefix of every signed message (kmod/signature.c).
const signedMagic = "lpatch signed 2\n"

// pageSize is the granularity in bytes to which the kernel rounds up the sizes of segments.
const pageSize = 4096

// SignedMessage returns the message that a signature of the patch covers: the hash of the file content without its signature,
// and a hash of all other data that is transferred. The kernel computes the same message from what it received (kmod/sum.c).
// Documentation/signed-patches.md specifies the order.
func (p *Patch) SignedMessage(content [sha256.Size]byte) []byte {
	t := tableSum{sha256.New()}
	t.text(p.Name)
	t.numbers(p.Pin)
	t.counts(len(p.Images), len(p.Segments), len(p.Sites), len(p.Functions), len(p.Fixups))
	for _, i := range p.Images {
		t.text(i.Name)
		t.counts(int(i.Flags))
		t.numbers(i.TextOffset, i.TextVaddr, i.SpanStart, i.SpanEnd)
		t.text(string(i.BuildID))
	}
	for _, s := range p.Segments {
		t.numbers(s.Offset, s.Vaddr, (s.Size+pageSize-1)&^(pageSize-1))
		t.counts(int(s.Prot))
	}
	sites := slices.SortedFunc(slices.Values(p.Sites), func(a, b Site) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.Vaddr, b.Vaddr))
	})
	for i := range sites {
		t.site(&sites[i])
	}
	for _, f := range p.Functions {
		t.text(f.Symbol)
		t.counts(int(f.Image))
		t.numbers(f.Start, f.End)
	}
	t.Write(encodeFixups(p.Fixups))
	return t.Sum(append([]byte(signedMagic), content[:]...))
}

// tableSum hashes integers and strings. Integers are little endian.
type tableSum struct{ hash.Hash }

func (t tableSum) text(s string) {
	t.counts(len(s))
	t.Write([]byte(s))
}

func (t tableSum) counts(list ...int) {
	for _, n := range list {
		t.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	}
}

func (t tableSum) numbers(list ...uint64) {
	for _, n := range list {
		t.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
}

// site hashes the transferred fields of a site: a jump has no new bytes, other kinds have no target.
func (t tableSum) site(s *Site) {
	var before, after [SiteMax]byte
	copy(before[:], s.Old)
	target := s.Target
	if s.Kind != SiteKindJump {
		copy(after[:], s.New)
		target = 0
	}
	t.text(s.Symbol)
	t.counts(int(s.Kind), int(s.Image))
	t.numbers(s.Vaddr, target)
	t.counts(len(s.Old))
	t.Write(before[:])
	t.Write(after[:])
}

// RefusesSignature reports whether err is the kernel's refusal of a patch because its signature is invalid or missing.
func RefusesSignature(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENOKEY, syscall.EKEYEXPIRED, syscall.EKEYREVOKED, syscall.EKEYREJECTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
