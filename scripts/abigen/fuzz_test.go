// SPDX-License-Identifier: GPL-2.0

package main

import (
	"os"
	"testing"
)

// FuzzSpec: a contract is refused, or everything can be made of it, or the first thing that cannot is named.
func FuzzSpec(f *testing.F) {
	for _, path := range []string{"testdata/small.yaml", "../../" + specPath} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parse(text)
		if (s == nil) == (err == nil) {
			t.Fatalf("value %v and error %v", s, err)
		}
		if err != nil {
			return
		}
		for _, o := range outputs {
			if b, err := o.render(s); (b == nil) == (err == nil) {
				t.Fatalf("%s: %d bytes and error %v", o.path, len(b), err)
			}
		}
	})
}
