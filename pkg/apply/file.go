// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"os"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// PatchFile is an open patch file.
type PatchFile struct {
	Spec     *patch.Spec
	Data     []byte // its content
	buildID  []byte
	file     *os.File
	sum      [sha256.Size]byte // of the whole file
	segments []lpnl.Segment
}

// Close closes the file; the kernel keeps its own reference while it has the patch.
func (f *PatchFile) Close() error { return f.file.Close() }

// object is the patch as the kernel wants it for targets that map certain files, but for its tables.
type object struct {
	patch lpnl.Patch
}

// close closes the images.
func (o *object) close() {
	for _, i := range o.patch.Images {
		i.File.Close()
	}
}

// object joins a patch file with the files that a process maps. The kernel identifies images by inode, so the same patch
// is another object where a process maps a copy of a file, as in another container: the object's name is a hash of the
// patch file and of what tells inodes apart.
func (s *Session) object(f *PatchFile, pid int, images []*candidate) (*object, error) {
	return newObject(f, func(i int) (*os.File, error) { return s.open(pid, images[i]) })
}

// newObject takes the files of the images from open.
func newObject(f *PatchFile, open func(image int) (*os.File, error)) (*object, error) {
	o := &object{patch: lpnl.Patch{Name: f.Spec.Name, File: f.file, Segments: f.segments, Pin: f.Spec.Pin}}
	name := sha256.New()
	name.Write(f.sum[:])
	for i := range f.Spec.Images {
		file, err := open(i)
		if err != nil {
			o.close()
			return nil, err
		}
		o.patch.Images = append(o.patch.Images, image(&f.Spec.Images[i], file))
		if err := nameFile(name, file); err != nil {
			o.close()
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	name.Sum(o.patch.Hash[:0])
	return o, nil
}

// nameFile adds to a hash what is never the same for two inodes. A file of an overlay keeps its number when it is copied up, and
// is then another one with another time of birth; not all file systems know that.
func nameFile(name hash.Hash, file *os.File) error {
	var st unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return err
	}
	if st.Mask&unix.STATX_BTIME == 0 {
		st.Btime = unix.StatxTimestamp{}
	}
	for _, n := range []uint64{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino, uint64(st.Btime.Sec), uint64(st.Btime.Nsec)} {
		name.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
	return nil
}

func image(i *patch.Image, file *os.File) lpnl.Image {
	out := lpnl.Image{
		Name: clip(label(i)), File: file, TextOffset: i.TextOffset, TextVaddr: i.TextVaddr,
		SpanStart: i.SpanStart, SpanEnd: i.SpanEnd, BuildID: i.BuildID,
	}
	if i.Fixed {
		out.Flags |= lpnl.ImageFlagsFixed
	}
	if i.Near {
		out.Flags |= lpnl.ImageFlagsNear
	}
	return out
}

// clip shortens a name for messages to what the kernel takes.
func clip(name string) string {
	if len(name) <= lpnl.NameMax {
		return name
	}
	return name[:lpnl.NameMax]
}

// tables translates the descriptor's tables, which only a transfer needs.
func tables(p *lpnl.Patch, spec *patch.Spec) {
	for _, s := range spec.Sites {
		site := lpnl.Site{Symbol: clip(s.Symbol), Image: uint32(s.Image), Vaddr: s.Vaddr, Old: s.Old, New: s.New, Target: s.Target}
		if s.Kind == patch.SiteBytes {
			site.Kind = lpnl.SiteKindBytes
		}
		p.Sites = append(p.Sites, site)
	}
	for _, f := range spec.Functions {
		for _, b := range f.Bodies {
			p.Functions = append(p.Functions, lpnl.Function{
				Symbol: clip(f.Symbol), Image: uint32(f.Image), Start: b.Start, End: b.End,
			})
		}
	}
	kinds := map[patch.FixupKind]lpnl.FixupKind{
		patch.FixupAbs64: lpnl.FixupKindAbs64, patch.FixupAbs32: lpnl.FixupKindAbs32, patch.FixupPC32: lpnl.FixupKindPc32,
	}
	for _, f := range spec.Fixups {
		p.Fixups = append(p.Fixups, lpnl.Fixup{
			Place: f.Place, Addend: f.Addend, Image: int32(f.Image), Kind: kinds[f.Kind],
		})
	}
}
