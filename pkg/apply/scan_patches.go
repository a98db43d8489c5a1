// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/sign"
)

// ScanPatch is a patch that processes are looked at for. Its file is closed.
type ScanPatch struct {
	*PatchFile
	signed bool
}

// changes tells whether it changes an image, and does not only refer to it.
func (p *ScanPatch) changes(image int) bool {
	return slices.ContainsFunc(p.Spec.Sites, func(s patch.Site) bool { return s.Image == image })
}

// isUpon tells whether it was built upon a patch of that name.
func (p *ScanPatch) isUpon(name string) bool {
	return slices.ContainsFunc(p.Spec.Upon, func(u patch.Upon) bool { return u.Name == name })
}

// OpenPatches opens patch files, all of a directory for one, and those of the boot entries whose names none of these has; each file
// once. It returns what is wrong with others.
func OpenPatches(r boot.Registry, paths []string) (list []*ScanPatch, bad []error) {
	add := func(f *os.File, err error) {
		var p *ScanPatch
		if err == nil {
			p, err = openScanPatch(f)
		}
		switch {
		case err != nil:
			bad = append(bad, err)
		case !slices.ContainsFunc(list, func(o *ScanPatch) bool { return o.sum == p.sum }):
			list = append(list, p)
		}
	}
	for _, path := range paths {
		files, err := patchFiles(path)
		if err != nil {
			bad = append(bad, err)
		}
		for _, file := range files {
			add(openRegular(file))
		}
	}
	given := slices.Clone(list)
	list, bad = withoutRivals(list, bad)
	entries, wrong := r.List()
	bad = append(bad, wrong...)
	for _, e := range entries {
		if !slices.ContainsFunc(given, func(p *ScanPatch) bool { return p.Spec.Name == e.Name }) {
			f, err := r.Patch(e)
			if err != nil {
				err = fmt.Errorf("boot entry %s: %w", e.Name, err)
			}
			add(f, err)
		}
	}
	return list, bad
}

// WithApplied adds to patches those that processes have by a status, as far as it is known what they are.
func WithApplied(list []*ScanPatch, status []lpnl.Report, abouts *Abouts) []*ScanPatch {
	for _, r := range status {
		f := abouts.known[r.Hash]
		if f != nil && !slices.ContainsFunc(list, func(p *ScanPatch) bool { return p.sum == f.sum }) {
			list = append(list, &ScanPatch{PatchFile: f, signed: true}) // the kernel has taken it
		}
	}
	return list
}

// withoutRivals leaves out patches of one name that change one image: which of them is meant nobody says.
func withoutRivals(list []*ScanPatch, bad []error) ([]*ScanPatch, []error) {
	var out []*ScanPatch
	for i, p := range list {
		j := slices.IndexFunc(list, func(o *ScanPatch) bool { return o != p && o.Spec.Name == p.Spec.Name && changeOne(o, p) })
		switch {
		case j < 0:
			out = append(out, p)
		case j > i:
			bad = append(bad, fmt.Errorf("%s and %s are two patches named %s for one file, %s; give one of them",
				p.file.Name(), list[j].file.Name(), p.Spec.Name, label(changed(p.Spec)[0])))
		}
	}
	return out, bad
}

// changeOne tells whether two patches change the same image.
func changeOne(a, b *ScanPatch) bool {
	return slices.ContainsFunc(changed(a.Spec), func(x *patch.Image) bool {
		return slices.ContainsFunc(changed(b.Spec), func(y *patch.Image) bool { return patch.SameImage(x, y) })
	})
}

// patchFiles are the patches in a directory, or the file that a path is.
func patchFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range names {
		if strings.HasSuffix(e.Name(), ".lp") && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no patch in it, no file NAME.lp; name a directory that has, or a file", path)
	}
	return files, nil
}

// openRegular opens a file without waiting for who serves it.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file; name a patch file, or a directory of them", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// openScanPatch keeps of a patch what tells whom it concerns.
func openScanPatch(f *os.File) (*ScanPatch, error) {
	file, err := OpenFile(f)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	_, signature, err := sign.Split(file.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	file.Data, file.Spec.Fixups = nil, nil
	return &ScanPatch{PatchFile: file, signed: signature != nil}, nil
}
