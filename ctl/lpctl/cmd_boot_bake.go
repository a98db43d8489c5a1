// SPDX-License-Identifier: GPL-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lpatch/pkg/apply"
	"lpatch/pkg/atomicfile"
	"lpatch/pkg/bake"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// bakeJSON is what boot bake --json prints.
type bakeJSON struct {
	Patch     string    `json:"patch"`
	Image     string    `json:"image"` // the file that was read
	File      string    `json:"file"`  // the file that was made
	BuildID   patch.Hex `json:"build_id"`
	SHA256    string    `json:"sha256"`
	Functions int       `json:"functions"`
	Values    int       `json:"values"`
}

// bake makes the file that a patched process runs, so to speak.
func (b *bootRun) bake() error {
	out := b.c.String("output")
	if out == "" {
		return errors.New("say which file to make: --output ELF; see lpctl boot bake --help")
	}
	p, err := patch.Open(b.arg)
	if err != nil {
		return err
	}
	path, err := b.imageToBake(p.Spec)
	if err != nil {
		return superseded(err)
	}
	data, mode, err := b.readImage(path)
	if err != nil {
		return err
	}
	baked, err := bake.File(path, data, p)
	var no *bake.Refused
	if errors.As(err, &no) {
		return refused(err)
	}
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(out, baked, mode); err != nil {
		return err
	}
	return b.baked(p, path, out, baked)
}

// imageToBake finds the file that the patch changes; what is named is taken for it.
func (b *bootRun) imageToBake(spec *patch.Spec) (string, error) {
	if given := b.images(); len(given) == 1 {
		return given[0], nil
	}
	image, err := apply.FindImage(b.registry, &spec.Images[spec.Sites[0].Image], b.images())
	return image.Path, err
}

// images are the files that were named; in the system that runs, from where lpctl was started.
func (b *bootRun) images() []string {
	var list []string
	for _, path := range b.c.StringSlice("image") {
		if full, err := filepath.Abs(path); err == nil && b.registry.Root == "/" {
			path = full
		}
		list = append(list, path)
	}
	return list
}

// maxBaked bounds a file that a patch is put into, in bytes: that of another system may claim to have any number.
const maxBaked = 1 << 30

// readImage reads a file of the system whose entries are meant. What of its mode makes it run as somebody else does not
// count: that is for whoever puts the new file in its place to decide.
func (b *bootRun) readImage(path string) ([]byte, os.FileMode, error) {
	f, err := b.registry.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if st.Size() > maxBaked {
		return nil, 0, fmt.Errorf("%s has more than %d bytes; no patch is put into such a file", f.Name(), maxBaked)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBaked))
	return data, st.Mode().Perm(), err
}

// baked tells what was done.
func (b *bootRun) baked(p *patch.File, image, out string, data []byte) error {
	f, err := lpelf.Parse(out, data)
	if err != nil {
		return fmt.Errorf("internal error: the file made is not valid: %w", err)
	}
	functions, values := count(p.Spec)
	if b.c.Bool("json") {
		sum := sha256.Sum256(data)
		return printJSON(b.c.Writer, bakeJSON{
			Patch: p.Spec.Name, Image: image, File: out, BuildID: f.BuildID(), SHA256: hex.EncodeToString(sum[:]),
			Functions: functions, Values: values,
		})
	}
	facts := changes(functions, values)
	if id := f.BuildID(); id != nil {
		facts = append(facts, "build-id "+hex.EncodeToString(id))
	}
	b.say("%s has %s with the patch %s: %s", out, image, p.Spec.Name, strings.Join(facts, ", "))
	return nil
}
