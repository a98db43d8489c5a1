// SPDX-License-Identifier: GPL-2.0

package programs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lpatch/test/patches/load"
)

// TestMain is the program that writes plans, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "--plan" {
		if err := load.WritePlan(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestPrograms tries all cases: a patched program says what the new one says, or the patch is refused. Of the ways to compile a
// case it takes one, another from case to case; PATCHES=all takes all.
func TestPrograms(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tools := Tools{Lpctl: filepath.Join(t.TempDir(), "lpctl"), Load: filepath.Join(dir, "../load/testdata/lpload.c"), Plan: self}
	if out, err := exec.Command("go", "build", "-o", tools.Lpctl, "lpatch/ctl/lpctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := tools.CompileLoad(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	cases, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range cases {
		for i := range c.Runs {
			if (c.Long || i != n%len(c.Runs)) && os.Getenv("PATCHES") != "all" {
				continue
			}
			t.Run(c.Name+"/"+c.Runs[i].Label(), func(t *testing.T) {
				t.Parallel()
				said, err := c.Try(tools, &c.Runs[i], t.TempDir())
				var missing MissingError
				switch {
				case errors.As(err, &missing):
					t.Skip(missing)
				case err != nil:
					t.Error(err)
				default:
					t.Log(said)
				}
			})
		}
	}
}
