// SPDX-License-Identifier: GPL-2.0

// Package boot is the registry of boot entries: the patches that are applied to programs as they start, and that a
// system registers with the kernel each time it boots. An entry is a file that people can read, the patch itself is kept
// by its content.
package boot

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/strictyaml"
)

// OnFailure says what is done with a process that cannot be patched.
type OnFailure string

// What is done.
const (
	Run  OnFailure = "run"  // it runs unpatched, and an event says so
	Kill OnFailure = "kill" // it does not run
)

// DefaultBoots is Entry.Boots where nothing else is said.
const DefaultBoots = 3

// Entry is one patch to apply at start.
type Entry struct {
	Name      string    `yaml:"name"`
	SHA256    string    `yaml:"sha256"` // of the patch file, in hexadecimal; its name in the store
	Images    []Image   `yaml:"images"` // in the order of the patch's
	OnFailure OnFailure `yaml:"on-failure"`
	Boots     int       `yaml:"boots"` // that may fail to succeed before the entry is disabled; 0: any number
	Added     time.Time `yaml:"added"`
}

// Image is where a file that the patch is for was found.
type Image struct {
	Path     string `yaml:"path"`     // below the root of the system
	Identity string `yaml:"identity"` // for people: its build-id
}

// names are those that are safe as the name of a file, and that no shell expands.
var names = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,126}$`)

var sums = lazyregexp.New(`^[0-9a-f]{64}$`)

const header = "# A boot entry of lpctl(8): the patch is applied to programs as they start. \"lpctl boot remove NAME\" ends it.\n"

// encode writes an entry as it is kept.
func (e *Entry) encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(e)
	return append([]byte(header), text...), err
}

// decode reads and checks an entry.
func decode(text []byte) (*Entry, error) {
	e := Entry{Boots: DefaultBoots}
	if err := strictyaml.Decode(text, &e); err != nil {
		return nil, err
	}
	return &e, e.check()
}

func (e *Entry) check() error {
	switch {
	case !names().MatchString(e.Name):
		return fmt.Errorf("the name %q cannot be that of a boot entry: letters, digits and . _ + - only", e.Name)
	case !sums().MatchString(e.SHA256):
		return fmt.Errorf("sha256 %q is none", e.SHA256)
	case e.OnFailure != Run && e.OnFailure != Kill:
		return fmt.Errorf("on-failure is %q; it can be %s or %s", e.OnFailure, Run, Kill)
	case e.Boots < 0:
		return fmt.Errorf("boots is %d; it is a number of boots, or 0 for any number", e.Boots)
	case len(e.Images) == 0:
		return errors.New("the entry names no image")
	}
	return nil
}
