// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"fmt"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// dated matches the end of the URL of a dated archive.
var dated = lazyregexp.New(`/[0-9]{8}T[0-9]{6}Z$`)

// snapshotMirrors returns the mirrors for a dated archive, given by a URL like those of snapshot.debian.org, and for its
// security archive, whose URL differs in the name debian-security. They are authenticated with Debian's keys; expired
// signatures are accepted.
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

// ofTime returns the mirrors from which a root is created.
func (a *Archive) ofTime() Mirrors {
	if a.snapshot.Main != nil {
		return a.snapshot
	}
	return a.mirrors
}
