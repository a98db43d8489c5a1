// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lpatch/pkg/testutil/filetest"
)

// TestUnit checks the unit that a process belongs to.
func TestUnit(t *testing.T) {
	for group, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                                       "nginx.service",
		"0::/system.slice/nginx.service/evil.service\n":                          "nginx.service",
		"0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n":  "postgresql@15-main.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n": "user@1000.service",
		"0::/user.slice/user-1000.slice/session-3.scope\n":                       "session-3.scope",
		"0::/system.slice/docker-0123456789ab.scope\n":                           "docker-0123456789ab.scope",
		"1:name=systemd:/system.slice/a.service\n0::/\n":                         "a.service",
		"0::/user.slice\n": "", "0::/\n": "", "0::/mine/a.service\n": "", "": "", "2:cpu:/a.service\n": "",
	} {
		root := t.TempDir()
		filetest.Tree(t, root, map[string]string{"7/cgroup": group})
		if got, err := New(root).Unit(7); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", group, got, err, want)
		}
	}
	if _, err := New(t.TempDir()).Unit(7); !errors.Is(err, ErrNoProcess) {
		t.Errorf("of nobody: %v", err)
	}
}

// TestUnits checks that each unit with processes is listed once, and files that are not processes are ignored.
func TestUnits(t *testing.T) {
	root := t.TempDir()
	filetest.Tree(t, root, map[string]string{
		"8/cgroup": "0::/system.slice/b.service\n", "9/cgroup": "0::/system.slice/a.service/x\n", "10/cgroup": "0::/system.slice/b.service/y\n",
		"11/cgroup": "0::/user.slice\n", "12/comm": "gone\n", "self/cgroup": "0::/system.slice/c.service\n",
	})
	if list, err := New(root).Units(); err != nil || !slices.Equal(list, []string{"a.service", "b.service"}) {
		t.Errorf("%q, %v", list, err)
	}
}

// TestFindPath checks that a path of a process is resolved below its root directory.
func TestFindPath(t *testing.T) {
	root, own := t.TempDir(), t.TempDir()
	filetest.Tree(t, own, map[string]string{"etc/a": "in the container"})
	filetest.Tree(t, root, map[string]string{"7/status": "Name:\tx\n"})
	for from, to := range map[string]string{filepath.Join(root, "7/root"): own, filepath.Join(own, "out"): "../../../../../../etc/a", filepath.Join(own, "abs"): "/etc/a"} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	f := New(root)
	var first FileID
	for _, path := range []string{"/etc/a", "/out", "/abs", "/../../etc/a"} {
		found, err := f.FindPath(7, path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if first == (FileID{}) {
			first = found.ID
		}
		file, err := f.Open(found)
		if found.ID != first || err != nil {
			t.Errorf("%s: %+v, %v", path, found.ID, err)
		} else {
			file.Close()
		}
		found.Close()
	}
	for _, path := range []string{"/etc/passwd", "/proc/self/exe"} {
		if _, err := f.FindPath(7, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// if a process has another root but is in our mount namespace, its mappings contain our paths
	if err := os.Symlink("/proc/self/ns", filepath.Join(root, "7/ns")); err != nil {
		t.Fatal(err)
	}
	found, err := f.FindPath(7, filepath.Join(own, "etc/a"))
	if err != nil || found.ID != first {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestHostilePath checks that a path that leads through an unresponsive file system is handled like a mapping of it.
func TestHostilePath(t *testing.T) {
	root := t.TempDir()
	filetest.Tree(t, root, map[string]string{"500/status": "Uid:\t1000\t0\t0\t0\nTgid:\t500\n"})
	done := make(chan struct{})
	defer func() {
		close(done)
		for stuckOf("1000") > 0 {
			time.Sleep(time.Millisecond)
		}
	}()
	for range maxStuckOf {
		stuck.add("1000", done)
	}
	_, err := New(root).FindPath(500, "/x")
	const want = "process 500 was not looked at, for 32 others of user 1000 keep lpctl from their mappings; end those"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
