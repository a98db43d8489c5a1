package apply

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// identity is what tells one ELF file from another, whatever its name.
type identity struct {
	buildID []byte // nil if it has none
	load    []byte // SHA-256 of the bytes of its loadable segments, only if it has no build-id
	foreign string // what it is, if it is not for 64-bit x86-64
	patch   bool   // it is the file of a patch
	other   bool   // it is no ELF file, and there is nothing else to say
}

// is tells whether a file is the one that an image stands for.
func (id identity) is(image *patch.Image) bool {
	if len(image.BuildID) > 0 {
		return bytes.Equal(id.buildID, image.BuildID)
	}
	return id.buildID == nil && len(image.SHA256) > 0 && bytes.Equal(id.load, image.SHA256)
}

// String is the identity in messages.
func (id identity) String() string { return describe(id.buildID, id.load) }

func describe(buildID, load []byte) string {
	if len(buildID) > 0 {
		return "build-id " + hex.EncodeToString(buildID)
	}
	return "no build-id (SHA-256 of its segments " + hex.EncodeToString(load) + ")"
}

// identify reads no more of an ELF file than its headers and notes, unless it has no build-id: every file that a machine
// runs may pass through here. A file that cannot be understood is an error, never a panic.
func identify(f *os.File) (id identity, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/elf, on bad input
			err = fmt.Errorf("damaged ELF file: %v", r)
		}
	}()
	e, err := elf.NewFile(f)
	if err != nil {
		return identity{}, err
	}
	var head [20]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return identity{}, err
	}
	id.foreign, id.patch = lpelf.Foreign(head[:]), e.Section(patch.SpecSection) != nil
	for _, p := range e.Progs {
		if p.Type == elf.PT_NOTE && p.Filesz < 1<<20 {
			note := make([]byte, p.Filesz)
			if _, err := io.ReadFull(p.Open(), note); err != nil {
				return identity{}, err
			}
			if id.buildID = lpelf.FindBuildID(note, p.Align, e.ByteOrder); id.buildID != nil {
				return id, nil
			}
		}
	}
	sum := sha256.New()
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			if _, err := io.Copy(sum, p.Open()); err != nil {
				return identity{}, err
			}
		}
	}
	id.load = sum.Sum(nil)
	return id, nil
}
