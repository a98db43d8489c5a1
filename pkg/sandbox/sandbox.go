// SPDX-License-Identifier: GPL-2.0

// Package sandbox runs programs of others where they cannot harm this machine: in namespaces of their own, with users of their
// own that have no rights outside, a root of their own, no network and bounds for what they use. It needs no root.
//
// bubblewrap makes what they see, and util-linux the user namespace and the limits. What is ours is which numbers their users have on
// this machine, and that nothing of this machine reads or writes in their files: these are copied in and out as archives, which
// are written and read inside (Put, Take).
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
	// Dir has the directory fs, which is the root that they see. Nobody else on this machine can get through it: what they leave
	// may be set-user-ID.
	Dir    string
	Limits Limits
	ids    ids
}

// Limits bound what a job may use. All that it has started counts.
type Limits struct {
	Processes int           // processes and threads, at the same time
	FileSize  int64         // bytes of one file
	Memory    int64         // bytes of one process that are its own and writable
	Free      int64         // bytes that have to stay free on the disk
	Output    int64         // bytes of a log
	Copied    int64         // bytes that one Take brings
	Files     int           // and files
	Time      time.Duration // of a job
}

// defaults are far above what builds of packages need.
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

// fsName is the root of the programs, in the directory of the sandbox.
const fsName = "fs"

// Make makes an empty sandbox in a directory, in the place of what is there. It fails where this machine does not let its user
// have one, and says what to do.
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

// Open takes a sandbox that was made before; the error is fs.ErrNotExist if there is none of this user's.
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

// owner tells whose the root of a sandbox is.
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

// own gives the root to the sandbox's root user, and lets that, and nobody else, through the directory above.
func (s *Sandbox) own(ctx context.Context) error {
	if os.Geteuid() == 0 {
		root := filepath.Join(s.Dir, fsName)
		tmp := filepath.Join(root, "tmp")
		return errors.Join(os.Chmod(tmp, 0o777|fs.ModeSticky), os.Chmod(root, 0o755), os.Chmod(s.Dir, 0o710),
			os.Chown(tmp, s.ids.uid, s.ids.gid), os.Chown(root, s.ids.uid, s.ids.gid), os.Chown(s.Dir, 0, s.ids.gid))
	}
	// Who may map numbers may give files to them, in a namespace that has both; nothing of others runs there.
	cmd := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", s.mapping("users", s.ids.uid, 1), s.mapping("groups", s.ids.gid, 1),
		"sh", "-ec", "chmod 1777 fs/tmp; chmod 755 fs; chmod 710 .; chown 1:1 fs/tmp fs; chown 0:1 .")
	cmd.Dir = s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return explain(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))), os.Geteuid(), readSysctl)
	}
	return nil
}

// mapping is an option of unshare that maps the sandbox's numbers, from one on inside.
func (s *Sandbox) mapping(kind string, outside, inside int) string {
	return "--map-" + kind + "=" + strconv.Itoa(outside) + "," + strconv.Itoa(inside) + "," + strconv.Itoa(idCount)
}

// Remove removes a sandbox, if there is one. What is in it is removed inside, by who owns it.
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

// Log returns where a job's output goes.
func (s *Sandbox) Log(name string) string { return s.Dir + "." + name + ".log" }

// Size returns the size of a file of the sandbox; 0 if there is none.
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
