// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"fmt"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// dated is the end of the address of an archive as it was at a time.
var dated = lazyregexp.New(`/[0-9]{8}T[0-9]{6}Z$`)

// snapshotMirrors are an archive as it was at a time, by an address like that of snapshot.debian.org, and that of its security updates,
// which is the same but for the name debian-security. They are believed by Debian's keys, though nobody has signed them lately.
func snapshotMirrors(url string) (Mirrors, error) {
	url = strings.TrimRight(url, "/")
	if url == "" {
		return Mirrors{}, nil
	}
	if !dated().MatchString(url) {
		return Mirrors{}, fmt.Errorf("--snapshot %s: its end is not a time; name an archive as it was then, like https://snapshot.debian.org/archive/debian/20260131T000000Z", url)
	}
	options := []string{"signed-by=" + keyring, "check-valid-until=no"}
	m := Mirrors{Main: &Mirror{url, options}}
	if security := strings.Replace(url, "/debian/", "/debian-security/", 1); security != url {
		m.Security = &Mirror{security, options}
	}
	return m, nil
}

// ofTime are the mirrors that a root is made from.
func (a *Archive) ofTime() Mirrors {
	if a.snapshot.Main != nil {
		return a.snapshot
	}
	return a.mirrors
}
