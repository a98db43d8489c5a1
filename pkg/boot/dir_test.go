// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// operations lists all operations of a registry. Their results are only checked where stated.
var operations = map[string]func(Registry) error{
	"add":    func(r Registry) error { return r.Add(sample("a"), []byte("patch")) },
	"remove": func(r Registry) error { return r.Remove("a") },
	"list": func(r Registry) error {
		_, bad := r.List()
		return errors.Join(bad...)
	},
	"begin":    func(r Registry) error { return r.Begin("this boot", []*Entry{sample("a")}) },
	"withdraw": func(r Registry) error { return r.Withdraw("this boot", sample("a")) },
	"succeed":  func(r Registry) error { return r.Succeed("this boot") },
	"disabled": func(r Registry) error { return r.Disabled("this boot", sample("a")) },
	"patch": func(r Registry) error {
		e := sample("a")
		e.SHA256 = sumOfPatch
		f, err := r.Patch(e)
		if err == nil {
			f.Close()
		}
		return err
	},
}

// sumOfPatch is the SHA-256 of "patch".
const sumOfPatch = "a4895eb44afc336fecbba6e520cd67e178dace0276655d102fceffa8e5f70570"

// contents returns the files below a directory: the content of each file, or the target of each link.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := "a directory"
		switch {
		case d.Type() == fs.ModeSymlink:
			text, err = os.Readlink(path)
		case d.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			text = string(data)
		}
		all[strings.TrimPrefix(path, dir)] = text
		return err
	}))
	return all
}

// TestRootLinks is an attack by the creator of the system below a root: directories are links to an outside directory with
// another registry. Nothing may be changed there, and its content must not be used.
func TestRootLinks(t *testing.T) {
	for _, link := range []string{"etc", "etc/lpctl", "etc/lpctl/boot.d", "var", "var/lib", "var/lib/lpctl", "var/lib/lpctl/store"} {
		for kind, to := range map[string]func(root, outside string) string{
			"absolute": func(_, outside string) string { return outside },
			"relative": func(root, outside string) string {
				up, err := filepath.Rel(filepath.Dir(filepath.Join(root, link)), outside)
				must(t, err)
				return up
			},
			"more": func(_, outside string) string { return strings.Repeat("../", 30) + outside },
		} {
			t.Run(strings.ReplaceAll(link, "/", "-")+" "+kind, func(t *testing.T) {
				t.Parallel()
				other := registry(t)
				must(t, other.Add(sample("a"), []byte("patch")))
				must(t, other.Add(sample("b"), []byte("patch")))
				must(t, other.Begin("another boot", []*Entry{sample("a")}))
				must(t, os.WriteFile(filepath.Join(other.Root, storeDir, strings.Repeat("0", 64)+patchSuffix), nil, 0o600))
				before := contents(t, other.Root)

				r := registry(t)
				must(t, os.MkdirAll(filepath.Join(r.Root, filepath.Dir(link)), 0o755))
				must(t, os.Symlink(to(r.Root, filepath.Join(other.Root, link)), filepath.Join(r.Root, link)))
				if list, _ := r.List(); len(list) > 0 {
					t.Errorf("entries from outside of the root: %v", list)
				}
				for _, do := range operations {
					_ = do(r) // any result is acceptable
				}
				must(t, r.Add(sample("a"), []byte("patch")))
				must(t, r.Succeed("this boot"))
				must(t, r.Remove("a"))
				if diff := cmp.Diff(before, contents(t, other.Root)); diff != "" {
					t.Errorf("outside of the root there is another registry now (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestLinksInside has a registry behind links in the system, which are resolved as in the running system.
func TestLinksInside(t *testing.T) {
	r := registry(t)
	for _, dir := range []string{"data/state", "usr/local", "var"} {
		must(t, os.MkdirAll(filepath.Join(r.Root, dir), 0o755))
	}
	must(t, os.Symlink("/../data/./current", filepath.Join(r.Root, "var/lib")))
	must(t, os.Symlink("state", filepath.Join(r.Root, "data/current")))
	must(t, os.Symlink("../../usr/local/etc", filepath.Join(r.Root, "etc"))) // not there yet; the parent of the root is the root
	e := sample("a")
	must(t, r.Add(e, []byte("patch")))
	must(t, r.Begin("this boot", []*Entry{e}))
	wantPatch(t, r, e, filepath.Join(r.Root, "data/state/lpctl/store", e.SHA256+patchSuffix))
	for _, name := range []string{"usr/local/etc/lpctl/boot.d/a.yaml", "usr/local/etc/lpctl/boots.yaml"} {
		if _, err := os.Lstat(filepath.Join(r.Root, name)); err != nil {
			t.Error(err)
		}
	}
	if list, bad := r.List(); len(list) != 1 || bad != nil {
		t.Errorf("there are %v, %v", list, bad)
	}
}

// TestLinkLoop checks that a loop of links is detected.
func TestLinkLoop(t *testing.T) {
	r := registry(t)
	must(t, os.Symlink("/etc", filepath.Join(r.Root, "etc")))
	if err := r.Add(sample("a"), nil); err == nil || !strings.HasSuffix(err.Error(), "/etc: too many levels of symbolic links") {
		t.Errorf("got %v", err)
	}
}

// TestStrict makes one of the directories on the path of the registry belong to another user, who could replace the registry.
// All operations must be refused, and the error must name the directory.
func TestStrict(t *testing.T) {
	entries := []string{"add", "remove", "list", "begin", "withdraw", "succeed", "disabled"}
	store := []string{"add", "remove", "patch"}
	for _, c := range []struct {
		component string // which the operations have to traverse
		refused   []string
	}{
		{"", append(store, entries...)},
		{"etc", entries}, {"etc/lpctl", entries}, {"etc/lpctl/boot.d", []string{"add", "remove", "list", "begin", "withdraw", "succeed"}},
		{"var", store}, {"var/lib", store}, {"var/lib/lpctl", store}, {"var/lib/lpctl/store", store},
		// a link, and the directories that it leads through
		{"data", store}, {"data/lpctl", store},
	} {
		for reason, spoil := range map[string]func(string) error{
			"may be written by others (mode 0777)": func(path string) error { return os.Chmod(path, 0o777) },
			"may be written by others (mode 0775)": func(path string) error { return os.Chmod(path, 0o775) },
			// like a shared directory
			"may be written by others (mode 1777)":    func(path string) error { return os.Chmod(path, 0o777|fs.ModeSticky) },
			"belongs to user 65534 and not to user 0": func(path string) error { return os.Lchown(path, 65534, 65534) },
		} {
			t.Run(strings.ReplaceAll(c.component, "/", "-")+" "+reason, func(t *testing.T) {
				t.Parallel()
				if strings.HasPrefix(reason, "belongs") && os.Getuid() != 0 {
					t.Skip("only root can give files away")
				}
				r := registry(t)
				must(t, r.Add(sample("a"), []byte("patch")))
				if strings.HasPrefix(c.component, "data") {
					must(t, os.Mkdir(filepath.Join(r.Root, "data"), 0o755))
					must(t, os.Rename(filepath.Join(r.Root, "var/lib/lpctl"), filepath.Join(r.Root, "data/lpctl")))
					must(t, os.Symlink("/data/lpctl", filepath.Join(r.Root, "var/lib/lpctl")))
				}
				path := filepath.Join(r.Root, c.component)
				must(t, spoil(path))
				wantRefused(t, r, path+" "+reason+"; nothing in it is trusted", c.refused)
			})
		}
	}
}

// wantRefused checks that operations are refused with an error message, and that nothing changes.
func wantRefused(t *testing.T, r Registry, want string, names []string) {
	t.Helper()
	before := contents(t, r.Root)
	for _, name := range names {
		err := operations[name](r)
		var untrusted *UntrustedError
		if !errors.As(err, &untrusted) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if diff := cmp.Diff(before, contents(t, r.Root)); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

// TestStrictLink has a link that belongs to another user.
func TestStrictLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	r := registry(t)
	must(t, r.Add(sample("a"), []byte("patch")))
	must(t, os.Rename(filepath.Join(r.Root, "etc"), filepath.Join(r.Root, "real")))
	link := filepath.Join(r.Root, "etc")
	must(t, os.Symlink("/real", link))
	must(t, os.Lchown(link, 65534, 65534))
	wantRefused(t, r, link+" belongs to user 65534 and not to user 0; nothing in it is trusted", []string{"add", "list", "succeed"})
}

// TestSweep checks that only files with names of the registry's own files are removed.
func TestSweep(t *testing.T) {
	r := registry(t)
	must(t, r.Add(sample("a"), []byte("patch")))
	sum := strings.Repeat("0", 64)
	stay := []string{storeDir + "/notes", storeDir + "/mine.lp", storeDir + "/" + sum, storeDir + "/" + sum + ".lp.sig", storeDir + "/.new-year",
		storeDir + "/." + sum + ".lp", storeDir + "/" + strings.ToUpper(strings.Repeat("a", 64)) + ".lp", entriesDir + "/.new-year", entriesDir + "/README"}
	for _, name := range append([]string{storeDir + "/" + sum + ".lp", storeDir + "/.new-X7", entriesDir + "/.new-42"}, stay...) {
		must(t, os.WriteFile(filepath.Join(r.Root, name), nil, 0o600))
	}
	for i, make := range []func(string) error{
		func(path string) error { return os.Mkdir(path, 0o755) },
		func(path string) error { return os.Symlink("/", path) },
	} {
		name := storeDir + "/" + strings.Repeat("ab"[i:i+1], 64) + ".lp"
		must(t, make(filepath.Join(r.Root, name)))
		stay = append(stay, name)
	}
	before := contents(t, r.Root)
	must(t, r.Add(sample("a"), []byte("patch")))
	after := contents(t, r.Root)
	for _, name := range stay {
		if _, there := after["/"+name]; !there {
			t.Errorf("%s was removed", name)
		}
	}
	if len(before)-len(after) != 3 {
		t.Errorf("there were %d files, and now there are %d:\n%v", len(before), len(after), after)
	}
}
