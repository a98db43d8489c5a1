// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func registry(t *testing.T) Registry {
	t.Helper()
	return Registry{Root: t.TempDir(), Owner: os.Getuid()}
}

func sample(name string) *Entry {
	return &Entry{
		Name: name, Images: []Image{{Path: "/usr/bin/prog", Identity: "build-id 00"}}, OnFailure: Run, Boots: DefaultBoots,
		Added: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC),
	}
}

func TestRegistry(t *testing.T) {
	r := registry(t)
	if list, bad := r.List(); list != nil || bad != nil {
		t.Fatalf("an empty system has %v, %v", list, bad)
	}
	a, b := sample("a"), sample("b")
	for _, e := range []*Entry{a, b} {
		if err := r.Add(e, []byte("the same patch")); err != nil {
			t.Fatal(err)
		}
	}
	list, bad := r.List()
	if diff := cmp.Diff([]*Entry{a, b}, list); diff != "" || bad != nil {
		t.Fatalf("(-want +got):\n%s%v", diff, bad)
	}
	f, err := r.Patch(a)
	must(t, err)
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "the same patch" {
		t.Fatalf("the patch is %q, %v", data, err)
	}
	if err := r.Remove("a"); err != nil {
		t.Fatal(err)
	}
	wantPatch(t, r, b, patchPath(r, b))
	if err := r.Add(b, []byte("another")); err != nil { // replaces the old one
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a patch that nobody names is still there (%v)", err)
	}
	if err := r.Remove("a"); !errors.Is(err, ErrNoEntry) {
		t.Fatalf("removed twice: %v", err)
	}
	if err := r.Remove("../../../etc/passwd"); !errors.Is(err, ErrNoEntry) {
		t.Fatalf("a name that is a path: %v", err)
	}
}

// TestTogether runs many concurrent additions and removals, and checks that each entry has its patch.
func TestTogether(t *testing.T) {
	r := registry(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := fmt.Sprint("patch-", i)
			for range 5 {
				if err := r.Add(sample(name), []byte(name)); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := r.Remove(name); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	wg.Wait()
	list, bad := r.List()
	if len(list) != 8 || bad != nil {
		t.Errorf("there are %d entries, want 8; %v", len(list), bad)
	}
	for _, e := range list {
		wantPatch(t, r, e, patchPath(r, e))
	}
}

// wantPatch checks from which path the patch of an entry is opened.
func wantPatch(t *testing.T, r Registry, e *Entry, path string) {
	t.Helper()
	f, err := r.Patch(e)
	must(t, err)
	defer f.Close()
	if f.Name() != path {
		t.Fatalf("the patch of %s is %s, want %s", e.Name, f.Name(), path)
	}
}

func entryPath(r Registry, name string) string {
	return filepath.Join(r.Root, entriesDir, name+entrySuffix)
}

func patchPath(r Registry, e *Entry) string {
	return filepath.Join(r.Root, storeDir, e.SHA256+patchSuffix)
}

// TestDistrust checks untrusted files and directories, with the error messages.
func TestDistrust(t *testing.T) {
	for want, spoil := range map[string]func(t *testing.T, r Registry, entry, patch string){
		"a.yaml may be written by others (mode 0666); nothing in it is trusted": func(t *testing.T, _ Registry, entry, _ string) {
			must(t, os.Chmod(entry, 0o666))
		},
		"boot.d may be written by others (mode 0777); nothing in it is trusted": func(t *testing.T, _ Registry, entry, _ string) {
			must(t, os.Chmod(filepath.Dir(entry), 0o777))
		},
		"a.yaml is not a regular file": func(t *testing.T, _ Registry, entry, _ string) {
			must(t, os.Rename(entry, entry+".old"))
			must(t, os.Symlink(entry+".old", entry))
		},
		`b.yaml: the entry in it is named "a"; rename the file`: func(t *testing.T, _ Registry, entry, _ string) {
			must(t, os.Rename(entry, filepath.Join(filepath.Dir(entry), "b.yaml")))
		},
		`on-failure is "panic"; it can be run or kill`: func(t *testing.T, _ Registry, entry, _ string) {
			rewrite(t, entry, "on-failure: run", "on-failure: panic")
		},
		"field mode not found in type boot.Entry": func(t *testing.T, _ Registry, entry, _ string) {
			rewrite(t, entry, "on-failure:", "mode: 1\non-failure:")
		},
		"a.yaml has more than 1048576 bytes; nothing in it is trusted": func(t *testing.T, _ Registry, entry, _ string) {
			must(t, os.Truncate(entry, 1<<40))
		},
		"is damaged; add the boot entry a again": func(t *testing.T, _ Registry, _, patch string) {
			must(t, os.WriteFile(patch, []byte("something else"), 0o600))
		},
	} {
		t.Run(want, func(t *testing.T) {
			r, e := registry(t), sample("a")
			must(t, r.Add(e, []byte("patch")))
			spoil(t, r, entryPath(r, "a"), patchPath(r, e))
			_, bad := r.List()
			if len(bad) == 0 {
				_, err := r.Patch(e)
				bad = []error{err}
			}
			if len(bad) != 1 || bad[0] == nil || !strings.Contains(bad[0].Error(), want) {
				t.Fatalf("got %v, want %q", bad, want)
			}
		})
	}
}

// TestCopies checks that a copy of a patch is only used if its hash is correct and the patch is not in the store.
func TestCopies(t *testing.T) {
	r, copies, e := registry(t), registry(t), sample("a")
	must(t, r.Add(e, []byte("patch")))
	must(t, copies.Add(sample("a"), []byte("patch")))
	r.Copies = copies.Root
	wantPatch(t, r, e, patchPath(r, e))
	must(t, os.RemoveAll(filepath.Join(r.Root, "var")))
	wantPatch(t, r, e, patchPath(copies, e))
	must(t, os.WriteFile(patchPath(copies, e), []byte("another"), 0o600))
	if f, err := r.Patch(e); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, %v", f, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644))
}

// TestOpen checks that Open stays below the root.
func TestOpen(t *testing.T) {
	r := registry(t)
	must(t, os.Mkdir(filepath.Join(r.Root, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(r.Root, "etc", "hostname"), []byte("inside"), 0o644))
	must(t, os.Symlink("/etc/hostname", filepath.Join(r.Root, "link")))
	must(t, os.Symlink("../../../../../etc/hostname", filepath.Join(r.Root, "dots")))
	for _, name := range []string{"/link", "/dots", "/etc/hostname"} {
		f, err := r.Open(name)
		must(t, err)
		b := make([]byte, 6)
		if _, err := f.Read(b); err != nil || string(b) != "inside" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		f.Close()
	}
	if _, err := r.Open("/etc"); err == nil || err.Error() != "/etc is no regular file" {
		t.Errorf("a directory: %v", err)
	}
}

// TestOpenDevice checks that a file that may be a device is located but not opened.
func TestOpenDevice(t *testing.T) {
	r := registry(t)
	must(t, unix.Mkfifo(filepath.Join(r.Root, "device"), 0o600))
	kernels := openat2
	t.Cleanup(func() { openat2 = kernels })
	openat2 = func(dir int, path string, how *unix.OpenHow) (int, error) {
		if how.Flags&unix.O_PATH == 0 {
			t.Errorf("%s is opened", path)
		}
		return kernels(dir, path, how)
	}
	if _, err := r.Open("/device"); err == nil || err.Error() != "/device is no regular file" {
		t.Error(err)
	}
}

// TestOpenWhileRenaming is an attack by a user who continuously renames files, so that the kernel cannot resolve paths with
// "..". The attempts must be repeated, but not forever.
func TestOpenWhileRenaming(t *testing.T) {
	r := registry(t)
	must(t, os.WriteFile(filepath.Join(r.Root, "hostname"), []byte("inside"), 0o644))
	must(t, os.Symlink("../hostname", filepath.Join(r.Root, "dots")))
	renames, kernels := 0, openat2
	t.Cleanup(func() { openat2 = kernels })
	openat2 = func(dir int, path string, how *unix.OpenHow) (int, error) {
		if renames--; renames >= 0 {
			return -1, unix.EAGAIN
		}
		return kernels(dir, path, how)
	}
	for _, renames = range []int{0, 1, maxOpens - 1} {
		f, err := r.Open("/dots")
		must(t, err)
		f.Close()
	}
	renames = maxOpens
	want := r.Root + `/dots: files were renamed or mounted each time it was opened, 100 times, and its path, or a link on it, has ".."; try again`
	if _, err := r.Open("/dots"); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestNames(t *testing.T) {
	r := registry(t)
	for _, name := range []string{"", ".", "..", "a/b", "-a", "a b", strings.Repeat("a", 200)} {
		if err := r.Add(sample(name), nil); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}
