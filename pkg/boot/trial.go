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

// trialsFile is in trialsDir, next to the entries: on the root file system, the only one that an initramfs has mounted.
const (
	trialsDir  = "etc/lpctl"
	trialsFile = "boots.yaml"
)

const trialsHeader = "# Boots in which lpctl(8) registered boot entries and which did not reach \"lpctl boot success\". An entry with as many as its\n" +
	"# boots: allows is disabled, until it is added again. Without this file all begin at 0.\n"

// Disabled is the error for an entry that was active in too many unsuccessful boots.
type Disabled struct {
	Name  string
	Boots int // number of these boots
}

func (e *Disabled) Error() string {
	boots := "boots"
	if e.Boots == 1 {
		boots = "boot"
	}
	return fmt.Sprintf("%s is disabled: it was active in %d %s that did not reach \"lpctl boot success\"; add it again to try it again",
		e.Name, e.Boots, boots)
}

// trials is the content of trialsFile.
type trials struct {
	Success string            `yaml:"success,omitempty"` // last successful boot
	Entries map[string]*trial `yaml:"entries,omitempty"`
}

// trial is the record of an entry that has not been active in a successful boot yet.
type trial struct {
	SHA256 string `yaml:"sha256"` // of its patch; another patch under the same name starts a new trial
	Boots  int    `yaml:"boots"`
	Last   string `yaml:"last"` // last of these boots, so that each one counts once
}

// Begin counts a boot for entries that are about to be registered in it, unless they are disabled. The count is on disk when
// Begin returns, so that it is not lost if the entries prevent the boot from completing. Each boot counts once, and not after
// it has succeeded. bootID is the kernel's boot_id.
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

// Withdraw reverts the count of this boot for an entry that was not registered after all.
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

// Succeed ends the trial of the entries that are active in this boot. Disabled entries remain disabled.
func (r Registry) Succeed(bootID string) error {
	return r.changeTrials(func(s *trials) {
		maps.DeleteFunc(s.Entries, func(_ string, t *trial) bool { return t.Last == bootID })
		s.Success = bootID
	})
}

// Disabled returns a *Disabled if an entry must not be registered. In the boot in which it reached the limit, it may still be
// registered.
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

// forget resets the trial of an entry.
func (r Registry) forget(name string) error {
	return r.changeTrials(func(s *trials) {
		delete(s.Entries, name)
	})
}

// of returns the trial of an entry, or nil.
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

// changeTrials updates the file atomically. It does not write the file if nothing changes, nor create it on a system without
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
