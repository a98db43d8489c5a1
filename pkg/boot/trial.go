// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/strictyaml"
)

// trialsFile, in trialsDir, is beside the entries: on the file system that the root is on, which an initramfs has mounted when nothing
// else is.
const (
	trialsDir  = "etc/lpctl"
	trialsFile = "boots.yaml"
)

const trialsHeader = "# Boots in which lpctl(8) registered boot entries and which did not reach \"lpctl boot success\". An entry with as many as its\n" +
	"# boots: allows is disabled, until it is added again. Without this file all begin at 0.\n"

// Disabled is returned for an entry that was active in too many boots that did not succeed.
type Disabled struct {
	Name  string
	Boots int // how many
}

func (e *Disabled) Error() string {
	boots := "boots"
	if e.Boots == 1 {
		boots = "boot"
	}
	return fmt.Sprintf("%s is disabled: it was active in %d %s that did not reach \"lpctl boot success\"; add it again to try it again",
		e.Name, e.Boots, boots)
}

// trials are what trialsFile has.
type trials struct {
	Success string            `yaml:"success,omitempty"` // the last boot that succeeded
	Entries map[string]*trial `yaml:"entries,omitempty"`
}

// trial is an entry that has yet to prove that the system comes up with it.
type trial struct {
	SHA256 string `yaml:"sha256"` // of its patch: another one under that name begins anew
	Boots  int    `yaml:"boots"`
	Last   string `yaml:"last"` // the last one of these, so that none counts twice
}

// Begin counts a boot for the entries that are about to be registered in it, unless they are disabled. That is on the disk
// when it returns: what the entries then do to the boot cannot be forgotten. Each boot counts once, and not if it has
// succeeded already. The boot is named by the kernel's boot_id.
func (r Registry) Begin(bootID string, entries []*Entry) error {
	return r.changeTrials(func(s *trials) {
		named := map[string]*trial{}
		for _, e := range entries {
			t := s.of(e)
			if t == nil {
				t = &trial{SHA256: e.SHA256}
			}
			if disabled(e, t) == nil && t.Last != bootID && s.Success != bootID {
				t.Boots, t.Last = t.Boots+1, bootID
			}
			if t.Boots > 0 {
				named[e.Name] = t
			}
		}
		s.Entries = named
	})
}

// Withdraw takes back what Begin counted in this boot for an entry that was not registered after all.
func (r Registry) Withdraw(bootID string, e *Entry) error {
	return r.changeTrials(func(s *trials) {
		if t := s.of(e); t != nil && t.Last == bootID {
			t.Boots, t.Last = t.Boots-1, ""
			if t.Boots == 0 {
				delete(s.Entries, e.Name)
			}
		}
	})
}

// Succeed ends the trial of the entries that are active in this boot. What is disabled stays so.
func (r Registry) Succeed(bootID string) error {
	return r.changeTrials(func(s *trials) {
		maps.DeleteFunc(s.Entries, func(_ string, t *trial) bool { return t.Last == bootID })
		s.Success = bootID
	})
}

// Disabled returns, for an entry that may not be registered, a *Disabled. In the boot that was one too many it still may.
func (r Registry) Disabled(bootID string, e *Entry) error {
	s, err := r.readTrials()
	if err != nil {
		return err
	}
	if t := s.of(e); t != nil && t.Last != bootID {
		return disabled(e, t)
	}
	return nil
}

// forget lets an entry begin at 0.
func (r Registry) forget(name string) error {
	return r.changeTrials(func(s *trials) {
		delete(s.Entries, name)
	})
}

// of finds the trial of an entry, or nil.
func (s *trials) of(e *Entry) *trial {
	if t := s.Entries[e.Name]; t != nil && t.SHA256 == e.SHA256 {
		return t
	}
	return nil
}

func disabled(e *Entry, t *trial) error {
	if e.Boots > 0 && t.Boots >= e.Boots {
		return &Disabled{Name: e.Name, Boots: t.Boots}
	}
	return nil
}

// changeTrials changes the file in one step. It is not written if nothing changes, and not made for a system without
// entries.
func (r Registry) changeTrials(change func(*trials)) error {
	entries, err := r.openDir(entriesDir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer entries.Close()
	unlock, err := atomicfile.Lock(entries)
	if err != nil {
		return err
	}
	defer unlock()
	dir, err := r.openDir(trialsDir, false)
	if err != nil {
		return err
	}
	defer dir.Close()
	s, err := r.readTrialsIn(dir)
	if err != nil {
		return err
	}
	before, err := yaml.Marshal(s)
	if err != nil {
		return err
	}
	change(s)
	after, err := yaml.Marshal(s)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	return atomicfile.WriteFileIn(dir, trialsFile, slices.Concat([]byte(trialsHeader), after), 0o644)
}

func (r Registry) readTrials() (*trials, error) {
	dir, err := r.openDir(trialsDir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return &trials{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return r.readTrialsIn(dir)
}

func (r Registry) readTrialsIn(dir *os.Root) (*trials, error) {
	s := &trials{}
	f, err := r.openFile(dir, trialsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readText(f)
	if err != nil {
		return nil, err
	}
	if err := strictyaml.Decode(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w; if you remove it, all entries begin at 0", f.Name(), err)
	}
	for name, t := range s.Entries {
		if t == nil || t.Boots < 1 {
			return nil, fmt.Errorf("%s: the number of boots of %q is not one; if you remove the file, all entries begin at 0", f.Name(), name)
		}
	}
	return s, nil
}
