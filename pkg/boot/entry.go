// SPDX-License-Identifier: GPL-2.0

// Package boot implements the registry of boot entries: the patches that are applied to programs as they start. A system
// registers them with the kernel each time it boots. An entry is a text file; the patch itself is stored under its SHA-256.
package boot

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/strictyaml"
)

// OnFailure tells what happens to a process that cannot be patched.
type OnFailure string

// The values of OnFailure.
const (
	Run  OnFailure = "run"  // the process runs unpatched, and an event is sent
	Kill OnFailure = "kill" // the process is killed
)

// DefaultBoots is the default of Entry.Boots.
const DefaultBoots = 3

// Entry is a patch to apply at program start.
type Entry struct {
	Name      string    `yaml:"name"`
	SHA256    string    `yaml:"sha256"` // of the patch file, in hexadecimal; its name in the store
	Images    []Image   `yaml:"images"` // in the order of the images of the patch
	OnFailure OnFailure `yaml:"on-failure"`
	Boots     int       `yaml:"boots"` // number of unsuccessful boots before the entry is disabled; 0: no limit
	Added     time.Time `yaml:"added"`
}

// Image is the location of a file that the patch is for.
type Image struct {
	Path     string `yaml:"path"`     // relative to the root of the system
	Identity string `yaml:"identity"` // build-id, for messages
}

// names matches names that are safe as file names and in a shell.
var names = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,126}$`)

var sums = lazyregexp.New(`^[0-9a-f]{64}$`)

const header = "# A boot entry of lpctl(8): the patch is applied to programs as they start. \"lpctl boot remove NAME\" ends it.\n"

// encode returns the content of the file of an entry.
func (e *Entry) encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(e)
	return append([]byte(header), text...), err
}

// decode parses and checks an entry.
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
