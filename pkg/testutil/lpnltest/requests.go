// SPDX-License-Identifier: GPL-2.0

package lpnltest

// Request is a command with the attributes that the specification permits.
type Request struct {
	Name    string
	Command uint8
	Dump    bool // sent with NLM_F_DUMP
	Attrs   []Attr
}

// Attr is the specification of an attribute of a request.
type Attr struct {
	Name   string
	Number uint16
	Type   string // u32, u64, string, binary, nest or flag
	Multi  bool   // may occur several times
	Max    int    // maximum length in bytes, without the NUL of a string; 0: no limit
	Exact  int    // exact length in bytes; 0: any
	Entry  int    // binary: size of an array entry in bytes; 0: not an array
	Values uint64 // u32: one more than the maximum value; 0: any
	Nest   []Attr // nest: attributes that it may contain
}
