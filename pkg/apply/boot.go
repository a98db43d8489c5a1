// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// BootKernel is what boot entries need of the kernel; *lpnl.Client is one.
type BootKernel interface {
	Transfer(*lpnl.Patch) error
	BootAdd(lpnl.Hash, lpnl.BootFlags) error
	BootRemove(lpnl.Hash) error
	Boots() ([]lpnl.Boot, error)
}

// Superseded is returned for an image of which the system has another version than the patch is for.
type Superseded struct {
	Path     string
	Identity string // of the file
	Want     string // of the patch
}

func (e *Superseded) Error() string {
	return fmt.Sprintf("%s has %s, the patch is for %s", e.Path, e.Identity, e.Want)
}

// NotOnDisk is returned for an image that was not found.
type NotOnDisk struct {
	Image string
	Want  string   // of the patch
	Given []string // where it was said to be
}

func (e *NotOnDisk) Error() string {
	also := ""
	if len(e.Given) > 0 {
		also = fmt.Sprintf("is not at %s and ", strings.Join(e.Given, ", "))
	}
	return fmt.Sprintf("%s (%s), which the patch is for, %sis in none of the usual directories; say where it is with --image PATH", e.Image, e.Want, also)
}

// binDirs and libDirs are where programs and libraries of Debian and its like are.
var (
	binDirs = []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/libexec", "/usr/lib/systemd", "/bin", "/sbin"}
	libDirs = []string{
		"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib/x86_64-linux-gnu", "/lib64", "/lib",
	}
)

// FindImages finds the files on disk that a patch is for, each by its build-id: those that are given, then those in the
// usual directories. The error is a *Superseded if there is only another version.
func FindImages(r boot.Registry, spec *patch.Spec, given []string) ([]boot.Image, error) {
	var found []boot.Image
	for i := range spec.Images {
		image, err := FindImage(r, &spec.Images[i], given)
		if err != nil {
			return nil, err
		}
		found = append(found, image)
	}
	return found, nil
}

// FindImage is FindImages for one of them.
func FindImage(r boot.Registry, image *patch.Image, given []string) (boot.Image, error) {
	want := describe(image.BuildID, image.SHA256)
	var other error
	for _, place := range slices.Concat(given, UsualPlaces(image)) {
		id, err := identifyAt(r, place, image)
		switch {
		case err != nil && slices.Contains(given, place) && !errors.Is(err, fs.ErrNotExist):
			return boot.Image{}, err
		case err != nil:
			continue
		case id.is(image):
			return boot.Image{Path: place, Identity: want}, nil
		// What was given may be for another image of the patch.
		case other == nil && (!slices.Contains(given, place) || path.Base(place) == image.Name || path.Base(place) == image.Soname):
			other = &Superseded{Path: place, Identity: id.String(), Want: want}
		}
	}
	if other != nil {
		return boot.Image{}, other
	}
	return boot.Image{}, &NotOnDisk{Image: label(image), Want: want, Given: given}
}

// UsualPlaces are the paths at which Debian and its like have a file of that name.
func UsualPlaces(image *patch.Image) []string {
	var places []string
	for _, dir := range slices.Concat(binDirs, libDirs) {
		places = append(places, path.Join(dir, image.Name))
		if image.Soname != "" && image.Soname != image.Name {
			places = append(places, path.Join(dir, image.Soname))
		}
	}
	return places
}

func identifyAt(r boot.Registry, name string, image *patch.Image) (identity, error) {
	f, err := r.Open(name)
	if err != nil {
		return identity{}, err
	}
	defer f.Close()
	return identifyAs(f, image)
}

// Bootable tells whether a patch can be applied as a program starts. The data of a library is not in place yet when its
// text is mapped: the dynamic linker maps and relocates it later.
func Bootable(spec *patch.Spec) error {
	if len(spec.Upon) > 0 {
		return &Refusal{Code: lpnl.RefusalImageMissing,
			Message: fmt.Sprintf("patch %s is built upon patch %s, and a program that starts has none yet; build one patch of all the fixes", spec.Name, spec.Upon[0].Name)}
	}
	for _, s := range spec.Sites {
		if i := &spec.Images[s.Image]; s.Kind == patch.SiteBytes && i.Soname != "" {
			return &Refusal{Code: lpnl.RefusalBytesDiffer, Function: s.Symbol,
				Message: fmt.Sprintf("patch %s changes the variable %s of the library %s, which has no value yet when a program starts; "+
					"have a function of the patch set it", spec.Name, s.Symbol, label(i))}
		}
	}
	return nil
}

// Register has the kernel apply an entry's patch to programs as they start. An entry that the kernel has already stays,
// with the answer to failure of now; others of that name, for an older patch or an older file, end. So do the entries of which the
// patch takes the place, here and in the registry: after it is registered, and their names are returned. The error is a *Superseded if
// an image on disk is another version by now.
func Register(k BootKernel, r boot.Registry, e *boot.Entry, f *PatchFile) (replaced []string, err error) {
	o, err := bootObject(r, e, f)
	if err != nil {
		return nil, err
	}
	defer o.close()
	tables(&o.patch, f.Spec)
	if err := k.Transfer(&o.patch); err != nil {
		return nil, err
	}
	if err := k.BootAdd(o.patch.Hash, flagsOf(e)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if _, err := Unregister(k, e.Name, o.patch.Hash); err != nil {
		return nil, err
	}
	entries, _ := r.List() // what cannot be read is not known to be older; lpctl boot list tells of it
	for _, old := range entries {
		if old.Name == e.Name || !supersedesEntry(r, f.Spec, old) {
			continue
		}
		if _, err := Unregister(k, old.Name); err != nil {
			return replaced, err
		}
		if err := r.Remove(old.Name); err != nil && !errors.Is(err, boot.ErrNoEntry) {
			return replaced, err
		}
		replaced = append(replaced, old.Name)
	}
	return replaced, nil
}

// supersedesEntry tells whether a patch takes the place of that of a boot entry.
func supersedesEntry(r boot.Registry, spec *patch.Spec, e *boot.Entry) bool {
	if namesEntry(spec, e) {
		return true
	}
	kept, err := r.Patch(e)
	if err != nil {
		return false
	}
	f, err := OpenFile(kept)
	if err != nil {
		return false
	}
	_ = f.Close()
	return isMitigated(spec, f.Spec)
}

// namesEntry tells whether a patch says to take the place of that of a boot entry.
func namesEntry(spec *patch.Spec, e *boot.Entry) bool {
	var sum [sha256.Size]byte
	_, err := hex.Decode(sum[:], []byte(e.SHA256))
	return err == nil && spec.Supersedes(e.Name, sum)
}

func flagsOf(e *boot.Entry) lpnl.BootFlags {
	if e.OnFailure == boot.Kill {
		return lpnl.BootFlagsKill
	}
	return 0
}

// Unregister ends the boot entries of the kernel that have the patch of that name, but for those to keep: there may be
// some for several versions of a file. It tells how many there were.
func Unregister(k BootKernel, name string, keep ...lpnl.Hash) (int, error) {
	list, err := k.Boots()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, b := range list {
		if b.Patch != name || slices.Contains(keep, b.Hash) {
			continue
		}
		if err := k.BootRemove(b.Hash); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}

func bootObject(r boot.Registry, e *boot.Entry, f *PatchFile) (*object, error) {
	if len(e.Images) != len(f.Spec.Images) {
		return nil, fmt.Errorf("the boot entry %s names %d images, its patch has %d", e.Name, len(e.Images), len(f.Spec.Images))
	}
	return newObject(f, func(i int) (*os.File, error) {
		file, err := r.Open(e.Images[i].Path)
		if err != nil {
			return nil, err
		}
		id, err := identifyAs(file, &f.Spec.Images[i])
		if err == nil && !id.is(&f.Spec.Images[i]) {
			err = &Superseded{Path: e.Images[i].Path, Identity: id.String(), Want: e.Images[i].Identity}
		}
		if err != nil {
			file.Close()
			return nil, err
		}
		return file, nil
	})
}
