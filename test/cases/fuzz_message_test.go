// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/testutil/lpnltest"
)

// attribute is one in the making: of the contract, until it is mutated.
type attribute struct {
	name    string // as in the contract; set.name in a nest
	number  uint16
	nested  bool // says NLA_F_NESTED
	content []byte
	inner   []*attribute // instead of a content
	excess  int          // what its length says too much
}

// maker makes messages of what the contract says and of what is known of values that make sense.
type maker struct {
	*rand.Rand
	known map[string][][]byte // by the name of an attribute: values that make sense
	fds   []uint32            // descriptors that make none
}

// attributes makes a request as it should be. Of what the contract has and known has not, the values are random.
func (m *maker) attributes(prefix string, list []lpnltest.Attr) []*attribute {
	var out []*attribute
	for _, a := range list {
		count := 1
		if known, ok := m.known[prefix+a.Name]; a.Multi && ok {
			count = len(known)
		}
		for i := range count {
			out = append(out, m.attribute(prefix, a, i))
		}
	}
	return out
}

func (m *maker) attribute(prefix string, a lpnltest.Attr, which int) *attribute {
	out := &attribute{name: prefix + a.Name, number: a.Number}
	known := m.known[out.name]
	switch {
	case a.Nest != nil:
		out.nested = true
		out.inner = m.attributes(a.Name+".", a.Nest)
	case a.Multi && which < len(known):
		out.content = known[which]
	case len(known) > 0:
		out.content = known[m.IntN(len(known))]
	default:
		out.content = m.value(a)
	}
	return out
}

// value is a random one of the right form.
func (m *maker) value(a lpnltest.Attr) []byte {
	switch a.Type {
	case "u32":
		v := m.number()
		if a.Values > 0 && m.IntN(8) > 0 {
			v %= a.Values
		}
		return u32(uint32(v))
	case "u64":
		return u64(m.number())
	case "string":
		return append(m.bytes(m.IntN(a.Max+2)), 0)
	case "flag":
		return nil
	}
	switch {
	case a.Exact > 0:
		return m.bytes(a.Exact)
	case a.Entry > 0:
		return m.bytes(a.Entry * m.IntN(20))
	}
	return m.bytes(m.IntN(a.Max + 2))
}

// number is one of those that limits are at, or near it.
func (m *maker) number() uint64 {
	edges := []uint64{0, 1, 5, 16, 4096, 1 << 20, 1 << 30, 1 << 31, 1 << 32, 1 << 47, 1 << 63}
	n := edges[m.IntN(len(edges))]
	switch m.IntN(4) {
	case 0:
		return n - 1
	case 1:
		return -n
	case 2:
		return n + m.Uint64N(4096)
	}
	return n
}

func (m *maker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.IntN(256) >> m.IntN(8))
	}
	return b
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// mutate changes one attribute of a request, at any depth.
func (m *maker) mutate(list []*attribute) []*attribute {
	if len(list) == 0 {
		return []*attribute{m.stray()}
	}
	i := m.IntN(len(list))
	a := list[i]
	if a.inner != nil && m.IntN(4) > 0 {
		a.inner = m.mutate(a.inner)
		return list
	}
	switch m.IntN(10) {
	case 0: // dropped
		return append(list[:i:i], list[i+1:]...)
	case 1: // doubled
		return append(list, a)
	case 2: // out of order
		k := m.IntN(len(list))
		list[i], list[k] = list[k], list[i]
	case 3: // of a wrong length
		a.excess = []int{-4, -1, 1, 4, 60000}[m.IntN(5)]
	case 4: // under another number
		a.number = uint16(m.IntN(32))
	case 5: // nested, or not
		a.nested = !a.nested
	case 6: // a nest in a nest
		list[i] = &attribute{name: a.name, number: a.number, nested: true, inner: []*attribute{a}}
	case 7: // with something that does not belong there
		return append(list, m.stray())
	default:
		m.garble(a)
	}
	return list
}

// stray is an attribute of no contract.
func (m *maker) stray() *attribute {
	return &attribute{number: uint16(m.IntN(1 << 14)), content: m.bytes(m.IntN(40))}
}

// garble changes the content. A descriptor only becomes one of fds: what else the process has open is none of its business.
func (m *maker) garble(a *attribute) {
	switch {
	case a.name == "fd" || a.name == "image.fd":
		a.content = u32(m.fds[m.IntN(len(m.fds))])
	case len(a.content) == 4:
		a.content = u32(uint32(m.number()))
	case len(a.content) == 8:
		a.content = u64(m.number())
	case m.IntN(3) == 0:
		a.content = m.bytes(m.IntN(300))
	case len(a.content) > 0:
		a.content = bytes.Clone(a.content)
		a.content[m.IntN(len(a.content))] ^= 1 << m.IntN(8)
	}
}

func encodeAttributes(list []*attribute) []byte {
	var out []byte
	for _, a := range list {
		content, number := a.content, a.number
		if a.inner != nil {
			content = encodeAttributes(a.inner)
		}
		if a.nested {
			number |= unix.NLA_F_NESTED
		}
		out = binary.NativeEndian.AppendUint16(out, uint16(unix.SizeofNlAttr+len(content)+a.excess))
		out = binary.NativeEndian.AppendUint16(out, number)
		out = append(out, content...)
		for len(out)%unix.NLA_ALIGNTO != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// The longest that a request of the fuzzer may stop a target, or wait for it, in ns: the fuzzer waits too.
const (
	longestStop = 2_000_000_000
	longestWait = 100_000_000
)

// hurry lowers the limits in an operation's attributes, which it walks as the kernel does.
func hurry(attrs []byte) {
	for len(attrs) >= unix.SizeofNlAttr {
		length := int(binary.NativeEndian.Uint16(attrs))
		if length < unix.SizeofNlAttr || length > len(attrs) {
			return
		}
		limit := map[uint16]uint64{lpnl.AttrOpMaxStop: longestStop, lpnl.AttrOpTimeout: longestWait}
		content := attrs[unix.SizeofNlAttr:length]
		if most := limit[binary.NativeEndian.Uint16(attrs[2:])&0x3fff]; most > 0 && len(content) >= 8 {
			binary.NativeEndian.PutUint64(content, min(most, binary.NativeEndian.Uint64(content)))
		}
		attrs = attrs[min(len(attrs), (length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
}
