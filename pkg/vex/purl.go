// SPDX-License-Identifier: GPL-2.0

package vex

import (
	"fmt"
	"slices"
	"strings"
)

// System is the distribution of the machine. Packages in a container may be of another one; no trusted information tells
// which, but their versions differ.
type System struct{ kind, vendor string }

// SystemOf parses os-release. The System of an unknown distribution is empty.
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

// PURL returns the package URL of a source package (https://github.com/package-url/purl-spec).
func (s System) PURL(source, version string) string {
	switch s.kind {
	case "deb":
		return fmt.Sprintf("pkg:deb/%s/%s@%s?arch=source", escape(s.vendor), escape(strings.ToLower(source)), escape(version))
	case "rpm":
		qualifiers := "?arch=src"
		if epoch, rest, ok := strings.Cut(version, ":"); ok { // the epoch is not a part of the version there
			version, qualifiers = rest, qualifiers+"&epoch="+escape(epoch)
		}
		return fmt.Sprintf("pkg:rpm/%s/%s@%s%s", escape(s.vendor), escape(source), escape(version), qualifiers)
	}
	return fmt.Sprintf("pkg:generic/%s@%s", escape(source), escape(version))
}

// escape percent-encodes a component of a package URL.
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
