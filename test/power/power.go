// SPDX-License-Identifier: GPL-2.0

// Package power is the test that the registry of boot entries outlives a power failure at any moment: a program in a virtual
// machine changes a registry on a disk all the time, and what is on the disk at random moments is looked at.
package power

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"lpatch/pkg/boot"
)

// Done is what the program in the machine prints after each step, with its number.
const Done = "done %d\n"

// names are the entries that the steps are about.
var names = []string{"one", "two", "three"}

// step tells what the i-th step does with an entry: it is added with these bytes for a patch, or removed if there are none.
// A step that adds one has bytes like no other.
func step(i int) (name string, data []byte) {
	name = names[i%len(names)]
	if i%4 == 0 {
		return name, nil
	}
	return name, bytes.Repeat(fmt.Appendf(nil, "patch %d ", i), 3000)
}

// Step does the i-th step; steps are numbered from 1.
func Step(r boot.Registry, i int) error {
	name, data := step(i)
	if data == nil {
		return r.Remove(name)
	}
	return r.Add(&boot.Entry{
		Name: name, OnFailure: boot.Run, Images: []boot.Image{{Path: "/bin/prog", Identity: "build-id 00"}}, Added: time.Unix(int64(i), 0).UTC(),
	}, data)
}

// after returns what is kept when the i-th step is done: the sum of each entry's patch by its name.
func after(i int) map[string]string {
	kept := map[string]string{}
	for n := 1; n <= i; n++ {
		name, data := step(n)
		if data == nil {
			delete(kept, name)
			continue
		}
		sum := sha256.Sum256(data)
		kept[name] = hex.EncodeToString(sum[:])
	}
	return kept
}
