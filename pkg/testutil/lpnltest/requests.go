// SPDX-License-Identifier: GPL-2.0

package lpnltest

// Request is a command and the attributes that the contract lets it hold.
type Request struct {
	Name    string
	Command uint8
	Dump    bool // is asked for with NLM_F_DUMP
	Attrs   []Attr
}

// Attr is what the contract says of one attribute of a request.
type Attr struct {
	Name   string
	Number uint16
	Type   string // u32, u64, string, binary, nest or flag
	Multi  bool   // may be there more than once
	Max    int    // bytes at most, without a string's NUL; 0: no limit of its own
	Exact  int    // bytes, neither more nor fewer; 0: any number
	Entry  int    // binary: bytes of one entry of an array; 0: no array
	Values uint64 // u32: one more than the highest value; 0: any
	Nest   []Attr // nest: what it may hold
}
