// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Member is a file in an ar(5) archive.
type Member struct {
	Name string
	Data []byte
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60 // size of a member header in bytes
)

// IsArchive reports whether data is an ar(5) archive. Thin archives do not count.
func IsArchive(data []byte) bool { return bytes.HasPrefix(data, []byte(arMagic)) }

// ParseArchive returns the members of a GNU archive without its symbol index. Thin archives are rejected: they contain only
// file names, which are relative to an unknown directory.
func ParseArchive(name string, data []byte) ([]Member, error) {
	if bytes.HasPrefix(data, []byte("!<thin>\n")) {
		return nil, fmt.Errorf("%s: a thin archive holds no objects; name the objects themselves", name)
	}
	if !IsArchive(data) {
		return nil, fmt.Errorf("%s: not an archive", name)
	}
	var members []Member
	var long string
	for pos := len(arMagic); pos < len(data); {
		if pos+arHeader > len(data) {
			return nil, fmt.Errorf("%s: truncated: a member's header at %#x is beyond the file; get the file again", name, pos)
		}
		h := data[pos : pos+arHeader]
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 40)
		if err != nil || size < 0 || string(h[58:]) != "`\n" {
			return nil, fmt.Errorf("%s: the member header at %#x is damaged; get the file again", name, pos)
		}
		start := pos + arHeader
		end := start + int(size)
		if end > len(data) {
			return nil, fmt.Errorf("%s: truncated: a member ends at %#x, beyond the file's %#x bytes; get the file again", name, end, len(data))
		}
		field := strings.TrimRight(string(h[:16]), " ")
		switch {
		case field == "//":
			long = string(data[start:end])
		case field == "/" || field == "/SYM64/":
		default:
			members = append(members, Member{Name: memberName(field, long), Data: data[start:end:end]})
		}
		pos = end + int(size&1)
	}
	return members, nil
}

// memberName resolves "/OFFSET" through the table of long names.
func memberName(field, long string) string {
	if rest, ok := strings.CutPrefix(field, "/"); ok {
		if off, err := strconv.Atoi(rest); err == nil && off >= 0 && off < len(long) {
			name, _, _ := strings.Cut(long[off:], "\n")
			return strings.TrimSuffix(name, "/")
		}
	}
	return strings.TrimSuffix(field, "/")
}
