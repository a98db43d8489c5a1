// SPDX-License-Identifier: GPL-2.0

package image

import (
	"bytes"
	"encoding/hex"
	"hash/crc32"
	"path/filepath"

	"lpatch/pkg/lpelf"
)

// DebugDirectory is the directory where distributions install separate debug files.
const DebugDirectory = "/usr/lib/debug"

// AddDebugFile looks for the separate debug file of an image without symbols, as gdb does (GDB manual, "Debugging Information
// in Separate Files"): by build-id in each of the directories in turn, then by the name in .gnu_debuglink with its checksum.
// It returns the path of the file whose symbol table it loaded, or "" if it found none.
func (im *Image) AddDebugFile(directories []string) string {
	if im.Named {
		return ""
	}
	id := hex.EncodeToString(im.BuildID())
	name, sum := im.DebugLink()
	dir := filepath.Dir(im.Path)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	beside := []string{dir, filepath.Join(dir, ".debug")}
	for _, f := range directories {
		if len(id) > 2 && im.takeSymbols(filepath.Join(f, ".build-id", id[:2], id[2:]+".debug"), nil) {
			return im.symbols
		}
		beside = append(beside, filepath.Join(f, dir))
	}
	for _, d := range beside {
		if name != "" && im.takeSymbols(filepath.Join(d, filepath.Base(name)), &sum) {
			return im.symbols
		}
	}
	return ""
}

// takeSymbols loads the symbol table of the debug file at path, if it exists and belongs to the image: by build-id, or by the
// checksum sum in .gnu_debuglink if either file has no build-id.
func (im *Image) takeSymbols(path string, sum *uint32) bool {
	f, err := lpelf.Open(path)
	if err != nil || len(f.Symbols) == 0 || path == im.Path {
		return false
	}
	same := im.BuildID() != nil && bytes.Equal(im.BuildID(), f.BuildID())
	if !same && (im.BuildID() != nil && f.BuildID() != nil || sum == nil) || sum != nil && crc32.ChecksumIEEE(f.Data) != *sum {
		return false
	}
	im.Named, im.symbols = true, path
	im.LTO = im.LTO || f.LinkedWithLTO()
	im.SetSymbols(f.Symbols)
	return true
}
