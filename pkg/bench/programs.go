// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs contains target.c, the program that is stopped, and driver.c, its parent, which implements all other methods of
// stopping it.
//
//go:embed programs/target.c programs/driver.c
var programs embed.FS

// BuildPrograms compiles the programs of the benchmark into dir, with $CC or cc.
func BuildPrograms(dir string) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	for _, name := range []string{"target", "driver"} {
		source, err := programs.ReadFile("programs/" + name + ".c")
		if err != nil {
			return err
		}
		var said bytes.Buffer
		cmd := exec.Command(cc, "-O2", "-Wall", "-Wextra", "-pthread", "-x", "c", "-", "-o", filepath.Join(dir, name))
		cmd.Stdin, cmd.Stderr = bytes.NewReader(source), &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("the benchmark's programs need a C compiler, or to have been compiled before (--programs): %s: %w\n%s",
				cc, err, said.String())
		}
	}
	return nil
}
