// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// system is a registry with entries and the sequence of its boots.
type system struct {
	Registry
	t     *testing.T
	boots int
}

func newSystem(t *testing.T, names ...string) *system {
	s := &system{Registry: registry(t), t: t}
	for _, name := range names {
		must(t, s.Add(sample(name), []byte(name)))
	}
	return s
}

func (s *system) id() string { return fmt.Sprint("boot-", s.boots) }

// boot starts the next boot and returns the entries that are active in it.
func (s *system) boot() string {
	s.t.Helper()
	s.boots++
	return s.replay()
}

func (s *system) replay() string {
	s.t.Helper()
	entries, bad := s.List()
	if len(bad) > 0 {
		s.t.Fatal(bad)
	}
	must(s.t, s.Begin(s.id(), entries))
	var active []string
	for _, e := range entries {
		err := s.Disabled(s.id(), e)
		var d *Disabled
		switch {
		case err == nil:
			active = append(active, e.Name)
		case !errors.As(err, &d):
			s.t.Fatal(err)
		}
	}
	return strings.Join(active, " ")
}

func (s *system) want(got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Fatalf("in boot %d the entries %q are active, want %q", s.boots, got, want)
	}
}

// TestFailSafe boots without success until the entries are disabled.
func TestFailSafe(t *testing.T) {
	s := newSystem(t, "a", "b")
	for range DefaultBoots {
		s.want(s.boot(), "a b")
		s.want(s.replay(), "a b") // the same boot counts once
	}
	s.want(s.boot(), "")
	entries, _ := s.List()
	want := `a is disabled: it was active in 3 boots that did not reach "lpctl boot success"; add it again to try it again`
	if err := s.Disabled(s.id(), entries[0]); err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	must(t, s.Succeed(s.id())) // does not affect inactive entries
	s.want(s.boot(), "")

	must(t, s.Add(sample("a"), []byte("a")))
	s.want(s.boot(), "a")
	must(t, s.Remove("b"))
	must(t, s.Add(sample("b"), []byte("b")))
	s.want(s.boot(), "a b")
}

// TestSuccess checks that only consecutive failed boots count.
func TestSuccess(t *testing.T) {
	s := newSystem(t, "a")
	for range 3 {
		for range DefaultBoots - 1 {
			s.want(s.boot(), "a")
		}
		s.want(s.boot(), "a")
		must(t, s.Succeed(s.id()))
	}
	for range DefaultBoots + 1 {
		s.want(s.replay(), "a") // the module was reloaded manually, after the boot had succeeded
	}
	for range DefaultBoots {
		s.want(s.boot(), "a")
	}
	s.want(s.boot(), "")
}

func TestBootsOfEntry(t *testing.T) {
	for limit, want := range map[int]string{0: "a a a a a a", 1: "a     ", 5: "a a a a a "} {
		s := &system{Registry: registry(t), t: t}
		e := sample("a")
		e.Boots = limit
		must(t, s.Add(e, []byte("a")))
		var got []string
		for range 6 {
			got = append(got, s.boot())
		}
		s.want(strings.Join(got, " "), want)
	}
}

// TestWithdraw checks that a boot does not count for an entry that was not registered.
func TestWithdraw(t *testing.T) {
	s := newSystem(t, "a", "b")
	entries, _ := s.List()
	for range DefaultBoots + 1 {
		s.boot()
		must(t, s.Withdraw(s.id(), entries[1]))
	}
	s.want(s.boot(), "b")
}

// TestTrialsOfOther checks that boots of an earlier patch of the same name do not count, even after a power failure during
// Add.
func TestTrialsOfOther(t *testing.T) {
	s := newSystem(t, "a")
	for range DefaultBoots {
		s.boot()
	}
	path := filepath.Join(s.Root, trialsDir, trialsFile)
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, s.Add(sample("a"), []byte("another")))
	must(t, os.WriteFile(path, before, 0o644))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".new-1"), before[:20], 0o644)) // left by a power failure
	s.want(s.boot(), "a")
}

// TestTrialsUnknown checks that nothing is registered if the number of failed boots cannot be read.
func TestTrialsUnknown(t *testing.T) {
	for text, want := range map[string]string{
		"entries: {a: {boots: -1}}":       `the number of boots of "a" is not one; if you remove the file, all entries begin at 0`,
		"entries: {a: }":                  `the number of boots of "a" is not one`,
		"entries: {a: {boots: 1, of: 2}}": "field of not found in type boot.trial; if you remove it, all entries begin at 0",
		"":                                "boots.yaml: EOF; if you remove it",
	} {
		s := newSystem(t, "a")
		must(t, os.WriteFile(filepath.Join(s.Root, trialsDir, trialsFile), []byte(text), 0o644))
		entries, _ := s.List()
		for _, err := range []error{s.Begin("x", entries), s.Disabled("x", entries[0]), s.Succeed("x")} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", text, err, want)
			}
		}
	}
	s := newSystem(t, "a")
	s.boot()
	must(t, os.Chmod(filepath.Join(s.Root, trialsDir, trialsFile), 0o666))
	entries, _ := s.List()
	if err := s.Begin("x", entries); err == nil || !strings.Contains(err.Error(), "may be written by others") {
		t.Errorf("a file of everybody: %v", err)
	}
}

// TestNoEntries checks that a system without entries is not modified.
func TestNoEntries(t *testing.T) {
	s := newSystem(t)
	must(t, s.Succeed("x"))
	must(t, s.Begin("x", nil))
	if _, err := os.Stat(filepath.Join(s.Root, "etc")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("/etc is there: %v", err)
	}
}
