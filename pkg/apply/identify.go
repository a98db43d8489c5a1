// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// identity is what tells one ELF file from another, whatever its name.
type identity struct {
	buildID []byte    // nil if it has none
	load    []byte    // SHA-256 of the bytes of its loadable segments, only if it has no build-id and somebody has asked
	loaded  uint64    // how many bytes those are
	span    [2]uint64 // of the addresses of its loadable segments, as an image has it
	foreign string    // what it is, if it is not for 64-bit x86-64
	patch   bool      // it is the file of a patch
	other   bool      // it is no ELF file, and there is nothing else to say
}

// is tells whether a file is the one that an image stands for.
func (id identity) is(image *patch.Image) bool {
	if len(image.BuildID) > 0 {
		return bytes.Equal(id.buildID, image.BuildID)
	}
	return id.buildID == nil && len(image.SHA256) > 0 && bytes.Equal(id.load, image.SHA256)
}

// mustHash tells whether only the bytes of a file tell whether it is the one that an image stands for. That has the image's span,
// and no more bytes than this.
func (id identity) mustHash(image *patch.Image) bool {
	return len(image.BuildID) == 0 && id.buildID == nil && id.load == nil && id.foreign == "" && !id.other &&
		id.span == [2]uint64{image.SpanStart, image.SpanEnd} && id.loaded <= image.SpanEnd-image.SpanStart
}

// String is the identity in messages.
func (id identity) String() string { return describe(id.buildID, id.load) }

func describe(buildID, load []byte) string {
	switch {
	case len(buildID) > 0:
		return "build-id " + hex.EncodeToString(buildID)
	case len(load) > 0:
		return "no build-id (SHA-256 of its segments " + hex.EncodeToString(load) + ")"
	}
	return "no build-id"
}

// identify reads no more of a file than its headers and notes: every file that a machine runs may pass through here. What is no
// ELF file is no error.
func identify(f *os.File) (identity, error) {
	p, err := newPages(f)
	if err != nil {
		return identity{}, err
	}
	h, err := lpelf.ReadHead(p)
	if errors.Is(err, lpelf.ErrNotELF) {
		return identity{other: true}, nil
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{buildID: h.BuildID, loaded: h.Loaded(), foreign: h.Foreign}
	id.span[0], id.span[1] = h.Span()
	id.patch, err = h.HasSection(p, patch.SpecSection, patch.MaxSections)
	return id, err
}

// hash reads the file's loadable segments. A look, if it is a part of one, bounds that.
func (id *identity) hash(f *os.File, l *look) error {
	p, err := newPages(f)
	if err != nil {
		return err
	}
	h, err := lpelf.ReadHead(p)
	switch {
	case err != nil:
		return err
	case h.Loaded() != id.loaded: // it is written to
		return errStale
	}
	var r io.ReaderAt = p
	if l != nil {
		r = timed{p, l}
		if err := l.take(id.loaded); err != nil {
			return err
		}
	}
	id.load, err = h.LoadSHA256(r)
	return err
}

// identifyAs is identify for a file that may be the one that an image stands for.
func identifyAs(f *os.File, image *patch.Image) (identity, error) {
	id, err := identify(f)
	if err == nil && id.mustHash(image) {
		err = id.hash(f, nil)
	}
	return id, err
}
