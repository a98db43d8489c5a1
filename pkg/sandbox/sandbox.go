// SPDX-License-Identifier: GPL-2.0

// Package sandbox runs untrusted programs so that they cannot harm this machine: in namespaces of their own, as users without
// privileges outside, with a root directory of their own, without network, and with resource limits. It does not need root.
//
// bubblewrap creates the view of the file system; util-linux creates the user namespace and sets the limits. This package
// allocates the UIDs and GIDs, and ensures that no program of this machine reads or writes files of the sandbox directly:
// they are copied in and out as archives, which are created and extracted inside (Put, Take).
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sandbox is a directory in which programs run.
type Sandbox struct {
	// Dir contains the directory fs, which is the root directory of the programs. No other user of this machine can access
	// it, because it may contain set-user-ID programs.
	Dir    string
	Limits Limits
	ids    ids
}

// Limits are the resource limits of a job with all its processes.
type Limits struct {
	Processes int           // maximum number of processes and threads
	FileSize  int64         // size of one file in bytes
	Memory    int64         // private writable memory of one process in bytes
	Free      int64         // bytes that must remain free on the disk
	Output    int64         // size of a log in bytes
	Copied    int64         // bytes copied by one Take
	Files     int           // files copied by one Take
	Time      time.Duration // run time of a job
}

// defaults returns limits far above the needs of package builds.
func defaults() Limits {
	l := Limits{
		Processes: 8192, FileSize: 16 << 30, Memory: 1 << 40, Free: 1 << 30, Output: 256 << 20, Copied: 64 << 30, Files: 4 << 20, Time: 24 * time.Hour,
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		l.Memory = int64(info.Totalram+info.Totalswap) * int64(info.Unit)
	}
	return l
}

// fsName is the name of the root directory of the programs in Sandbox.Dir.
const fsName = "fs"

// Make creates an empty sandbox in a directory, whose content it replaces. If this machine does not permit sandboxes for the
// user, the error tells what to do.
func Make(ctx context.Context, dir string) (*Sandbox, error) {
	if err := Remove(ctx, dir); err != nil {
		return nil, err
	}
	s, err := opened(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, fsName, "tmp"), 0o700); err != nil {
		return nil, err
	}
	if err := s.own(ctx); err != nil {
		return nil, err
	}
	err = s.Run(ctx, Job{Name: "trial", Host: true, Args: []string{"true"}})
	if err != nil && ctx.Err() == nil {
		return nil, explain(err, os.Geteuid(), readSysctl)
	}
	return s, err
}

// Open returns an existing sandbox. The error is fs.ErrNotExist if this user has none there.
func Open(dir string) (*Sandbox, error) {
	s, err := opened(dir)
	if err != nil {
		return nil, err
	}
	have, err := owner(dir)
	if err == nil && have != s.ids {
		err = fmt.Errorf("%s is another user's: %w", dir, fs.ErrNotExist)
	}
	return s, err
}

func opened(dir string) (*Sandbox, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	i, err := findIDs(os.Geteuid(), system)
	return &Sandbox{Dir: dir, Limits: defaults(), ids: i}, err
}

// owner returns the UID and GID that own the root directory of a sandbox.
func owner(dir string) (ids, error) {
	st, err := os.Lstat(filepath.Join(dir, fsName))
	if err != nil {
		return ids{}, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() {
		return ids{}, fmt.Errorf("%s/%s is no directory", dir, fsName)
	}
	return ids{int(sys.Uid), int(sys.Gid)}, nil
}

// own gives the root directory to the root user of the sandbox, and makes the directory above accessible to this user only.
func (s *Sandbox) own(ctx context.Context) error {
	if os.Geteuid() == 0 {
		root := filepath.Join(s.Dir, fsName)
		tmp := filepath.Join(root, "tmp")
		return errors.Join(os.Chmod(tmp, 0o777|fs.ModeSticky), os.Chmod(root, 0o755), os.Chmod(s.Dir, 0o710),
			os.Chown(tmp, s.ids.uid, s.ids.gid), os.Chown(root, s.ids.uid, s.ids.gid), os.Chown(s.Dir, 0, s.ids.gid))
	}
	// a user namespace with both IDs mapped allows to change the owner; no untrusted program runs in it
	cmd := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", s.mapping("users", s.ids.uid, 1), s.mapping("groups", s.ids.gid, 1),
		"sh", "-ec", "chmod 1777 fs/tmp; chmod 755 fs; chmod 710 .; chown 1:1 fs/tmp fs; chown 0:1 .")
	cmd.Dir = s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return explain(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))), os.Geteuid(), readSysctl)
	}
	return nil
}

// mapping returns the option of unshare that maps the IDs of the sandbox, starting with inside.
func (s *Sandbox) mapping(kind string, outside, inside int) string {
	return "--map-" + kind + "=" + strconv.Itoa(outside) + "," + strconv.Itoa(inside) + "," + strconv.Itoa(idCount)
}

// Remove removes a sandbox, if it exists. Its content is removed from inside, by its owner.
func Remove(ctx context.Context, dir string) error {
	have, err := owner(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir)
	} else if err != nil {
		return err
	}
	s, err := opened(dir)
	if err != nil {
		return err
	}
	if have.uid < idCount || have.gid < idCount {
		return fmt.Errorf("%s/%s belongs to user %d, and so is no root of a sandbox; remove %[1]s yourself", dir, fsName, have.uid)
	}
	s.ids, s.Limits.Free = have, 0
	if err := s.Run(ctx, Job{Name: "remove", Host: true, As: Installer, Args: []string{"find", "/mnt", "-mindepth", "1", "-delete"}}); err != nil {
		return fmt.Errorf("%s cannot be removed: %w", dir, err)
	}
	return os.RemoveAll(dir)
}

// Log returns the path of the log of a job.
func (s *Sandbox) Log(name string) string { return s.Dir + "." + name + ".log" }

// Size returns the size of a file in the sandbox in bytes, or 0 if it does not exist.
func (s *Sandbox) Size(inner string) int64 {
	root, err := os.OpenRoot(filepath.Join(s.Dir, fsName))
	if err != nil {
		return 0
	}
	defer root.Close()
	st, err := root.Lstat(strings.TrimPrefix(inner, "/"))
	if err != nil || !st.Mode().IsRegular() {
		return 0
	}
	return st.Size()
}
