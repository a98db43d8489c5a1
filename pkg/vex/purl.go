// SPDX-License-Identifier: GPL-2.0

package vex

import (
	"fmt"
	"slices"
	"strings"
)

// System is what packages are of: the distribution of the machine. What a container has may be of another one; of which, nothing that
// is trusted says, and its versions tell.
type System struct{ kind, vendor string }

// SystemOf reads what a distribution says of itself in os-release. One that is not known has packages of no kind.
func SystemOf(osRelease string) System {
	fields := map[string]string{}
	for line := range strings.Lines(osRelease) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	id := fields["ID"]
	is := append(strings.Fields(fields["ID_LIKE"]), id)
	switch {
	case id == "":
	case slices.Contains(is, "debian") || slices.Contains(is, "ubuntu"):
		return System{"deb", id}
	case slices.Contains(is, "fedora") || slices.Contains(is, "rhel") || slices.Contains(is, "suse") || slices.Contains(is, "opensuse"):
		return System{"rpm", id}
	}
	return System{"generic", ""}
}

// PURL is the package URL of a source package (https://github.com/package-url/purl-spec).
func (s System) PURL(source, version string) string {
	switch s.kind {
	case "deb":
		return fmt.Sprintf("pkg:deb/%s/%s@%s?arch=source", escape(s.vendor), escape(strings.ToLower(source)), escape(version))
	case "rpm":
		qualifiers := "?arch=src"
		if epoch, rest, ok := strings.Cut(version, ":"); ok { // which is not a part of the version there
			version, qualifiers = rest, qualifiers+"&epoch="+escape(epoch)
		}
		return fmt.Sprintf("pkg:rpm/%s/%s@%s%s", escape(s.vendor), escape(source), escape(version), qualifiers)
	}
	return fmt.Sprintf("pkg:generic/%s@%s", escape(source), escape(version))
}

// escape encodes what a package URL does not have as it is.
func escape(text string) string {
	var out strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}
