// SPDX-License-Identifier: GPL-2.0

package sandbox

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Keep selects the files that Take copies, by their path relative to the directory and by their first bytes.
type Keep struct {
	// Link reports whether a symbolic link is copied. Take never follows a link, but a reader of the copy may. If Link is
	// nil, only links to a name in the same directory are copied.
	Link func(name, to string) bool
	// ELF restricts the copy to ELF files.
	ELF bool
}

// AllLinks is a Keep.Link that accepts all links, for copies that nobody reads by path.
func AllLinks(string, string) bool { return true }

func beside(_, to string) bool { return !strings.Contains(to, "/") }

// Take copies directories, regular files and selected links from directory inner of a sandbox to a new directory, which
// replaces to. The archive is created inside the sandbox by the Builder, and its content is not trusted.
func (s *Sandbox) Take(ctx context.Context, inner, to string, k Keep) error {
	return s.TakeFrom(ctx, Job{Name: "take", Args: []string{"tar", "-C", inner, "--hard-dereference", "-cf", "-", "."}}, to, k)
}

// TakeFrom is like Take, for a tar archive that a job writes to its output.
func (s *Sandbox) TakeFrom(ctx context.Context, j Job, to string, k Keep) error {
	tmp := to + ".new" // the job may read the old content
	defer os.RemoveAll(tmp)
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return err
	}
	dir, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer dir.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := s.unpack(r, dir, k)
		if err == nil { // padding of the last block
			if n, _ := io.CopyN(io.Discard, r, 1<<20); n == 1<<20 {
				err = errors.New("there is more behind its end")
			}
		}
		if err != nil {
			cancel()
		}
		_ = r.Close()
		unpacked <- err
	}()
	j.Out = w
	err = s.Run(ctx, j)
	_ = w.Close()
	// for a truncated archive, the error of the job is the cause
	if bad := <-unpacked; bad != nil && (err == nil || !errors.Is(bad, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("what the sandbox gives for %s cannot be taken: %w", to, bad)
	}
	return errors.Join(err, os.RemoveAll(to), os.Rename(tmp, to))
}

// unpack extracts an archive. Links extracted before cannot redirect it, because an os.Root does not leave its directory.
func (s *Sandbox) unpack(r io.Reader, dir *os.Root, k Keep) error {
	if k.Link == nil {
		k.Link = beside
	}
	left, files := s.Limits.Copied, 0
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		if name == "." {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q is no name below it", h.Name)
		}
		if files++; files > s.Limits.Files {
			return fmt.Errorf("there are more than %d files", s.Limits.Files)
		}
		if h.Typeflag == tar.TypeReg {
			if left -= h.Size; left < 0 {
				return fmt.Errorf("there are more than %d bytes", s.Limits.Copied)
			}
		}
		if err := k.write(archive, h, dir, name); err != nil {
			return err
		}
	}
}

// write extracts one file of an archive, unless k excludes it.
func (k *Keep) write(r io.Reader, h *tar.Header, dir *os.Root, name string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return dir.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		if !k.Link(name, h.Linkname) {
			return nil
		}
		return errors.Join(dir.MkdirAll(path.Dir(name), 0o755), dir.Symlink(h.Linkname, name))
	case tar.TypeReg:
	default:
		return nil
	}
	head := make([]byte, min(h.Size, 4))
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	if k.ELF && string(head) != elf.ELFMAG {
		return nil
	}
	if err := dir.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(head)
	if err == nil {
		_, err = io.Copy(f, r)
	}
	// without the set-user-ID, set-group-ID and sticky bits
	return errors.Join(err, f.Chmod(fs.FileMode(h.Mode)&0o755|0o600), f.Close(), dir.Chtimes(name, h.ModTime, h.ModTime))
}

// Put copies directories, regular files and symbolic links from a directory of this machine to directory inner of a sandbox,
// whose content it replaces. They belong to the Builder. Files named in without are omitted.
func (s *Sandbox) Put(ctx context.Context, from, inner string, without ...string) error {
	script := `rm -rf "$1"; mkdir -p "$1"; chown ` + fmt.Sprintf("%d:%[1]d", builder) + ` "$1"; chmod 755 "$1"
to=$1; shift; exec "$@" tar -xpf - --no-same-owner -C "$to"`
	return s.PutBy(ctx, Job{Name: "put", As: Installer, Args: append([]string{"sh", "-ec", script, "sh", inner}, asBuilder...)}, from, without...)
}

// PutBy runs a job with the archive of a directory as its input.
func (s *Sandbox) PutBy(ctx context.Context, j Job, from string, without ...string) error {
	packed, err := Pack(from, without...)
	if err != nil {
		return err
	}
	defer packed.Close()
	j.In = packed
	return s.Run(ctx, j)
}

// Pack returns a reader for the archive of a directory of this machine. The archive is created while it is read. The caller
// must close it.
func Pack(from string, without ...string) (io.ReadCloser, error) {
	dir, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		err := pack(w, dir, without)
		if err != nil {
			err = fmt.Errorf("%s cannot be copied into the sandbox: %w", from, err)
		}
		w.CloseWithError(errors.Join(err, dir.Close())) // nil means EOF
	}()
	return r, nil
}

func pack(w io.Writer, dir *os.Root, without []string) error {
	archive := tar.NewWriter(w)
	err := fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case slices.Contains(without, d.Name()) && d.IsDir():
			return fs.SkipDir
		case slices.Contains(without, d.Name()):
			return nil
		}
		st, err := dir.Lstat(name)
		if err != nil {
			return err
		}
		return packOne(archive, dir, name, st)
	})
	return errors.Join(err, archive.Close())
}

func packOne(archive *tar.Writer, dir *os.Root, name string, st fs.FileInfo) error {
	h := &tar.Header{Name: name, Mode: int64(st.Mode().Perm()), ModTime: st.ModTime(), Format: tar.FormatPAX}
	switch {
	case st.IsDir():
		h.Typeflag = tar.TypeDir
		return archive.WriteHeader(h)
	case st.Mode().Type() == fs.ModeSymlink:
		to, err := dir.Readlink(name)
		h.Typeflag, h.Linkname = tar.TypeSymlink, to
		return errors.Join(err, archive.WriteHeader(h))
	case !st.Mode().IsRegular():
		return nil
	}
	f, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, st.Size()
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(archive, io.LimitReader(f, st.Size()))
	return err
}
