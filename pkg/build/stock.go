// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// stockImage is a program or library of the stock packages. Several paths may be names of the same file.
type stockImage struct {
	paths  []string // relative to the directory of packages: PACKAGE/usr/bin/x
	file   string
	twin   string // path of the rebuilt file; "" if none is the same program
	twinIs string // parts that are equal in both, for messages
}

// name returns the name of the image in patch files: that of its package if one of its paths has it.
func (im *stockImage) name() string {
	for _, path := range im.paths {
		if pkg, _, _ := strings.Cut(path, "/"); filepath.Base(path) == pkg {
			return pkg
		}
	}
	return filepath.Base(im.paths[0])
}

// isImage reports whether a file is a program or shared object. It reads no more than necessary, because a build may create
// arbitrary files.
func isImage(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h, err := lpelf.ReadHead(f)
	return err == nil && h.Foreign == "" && (h.Type() == elf.ET_EXEC || h.Type() == elf.ET_DYN) && slices.ContainsFunc(h.Progs, func(p lpelf.Prog) bool {
		return p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0
	})
}

// images lists the programs and shared objects below a directory.
func images(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && isImage(path) {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

// stockImages lists the images below the directory of stock packages, sorted by path.
func stockImages(dir string) ([]*stockImage, error) {
	files, err := images(dir)
	if err != nil {
		return nil, err
	}
	var out []*stockImage
	seen := map[[32]byte]*stockImage{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		if same := seen[sum]; same != nil {
			same.paths = append(same.paths, rel)
			continue
		}
		seen[sum] = &stockImage{paths: []string{rel}, file: file}
		out = append(out, seen[sum])
	}
	return out, addLinks(out, dir)
}

// addLinks adds the names of symbolic links to programs, which may cross packages.
func addLinks(list []*stockImage, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink || !strings.HasSuffix(filepath.Dir(path), "bin") {
			return err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		_, inPackage, _ := strings.Cut(rel, "/")
		if !filepath.IsAbs(to) {
			to = filepath.Join("/", filepath.Dir(inPackage), to)
		}
		for _, im := range list {
			if slices.ContainsFunc(im.paths, func(p string) bool { _, p, _ = strings.Cut(p, "/"); return "/"+p == to }) {
				im.paths = append(im.paths, rel)
			}
		}
		return nil
	})
}

// matchTwins finds the rebuilt file for each image, among those at PACKAGE/usr/bin/x below dir.
func matchTwins(stock []*stockImage, dir string) error {
	files, err := images(dir)
	if err != nil {
		return err
	}
	byID := map[string]string{}
	for _, file := range files {
		f, err := lpelf.Open(file)
		if err != nil {
			return err
		}
		if id := f.BuildID(); id != nil {
			byID[string(id)] = file
		}
	}
	for _, im := range stock {
		if err := im.match(byID, dir); err != nil {
			return err
		}
	}
	return nil
}

func (im *stockImage) match(byID map[string]string, dir string) error {
	f, err := lpelf.Open(im.file)
	if err != nil {
		return err
	}
	if twin := byID[string(f.BuildID())]; twin != "" && f.BuildID() != nil {
		im.twin, im.twinIs = twin, "build-id"
		return nil
	}
	path := filepath.Join(dir, im.paths[0])
	twin, err := lpelf.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		im.twinIs = "nothing: the build here makes no such file"
		return nil
	case err != nil:
		return err
	}
	if differ := differing(f, twin); len(differ) > 0 {
		im.twinIs = "not all: differs in " + strings.Join(differ, " ")
		return nil
	}
	im.twin, im.twinIs = path, "loadable sections"
	return nil
}

// differing lists the loaded sections that differ between two files. The build-id is ignored, because it also covers debug
// information, which contains versions of system headers; so is the name of the debug file.
func differing(a, b *lpelf.File) []string {
	other := map[string]*lpelf.Section{}
	for _, s := range b.Sections {
		other[s.Name] = s
	}
	var out []string
	for _, s := range a.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Name == ".note.gnu.build-id" {
			continue
		}
		if o := other[s.Name]; o == nil || o.Addr != s.Addr || o.Size != s.Size || !bytes.Equal(o.Data, s.Data) {
			out = append(out, s.Name)
		}
	}
	return out
}
