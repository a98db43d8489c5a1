// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A build of the copy must not read the original, which lacks the fix: both builds would compile the same source.

// strayedFile is a file in the directory of objects. It exists if a compiler was told to read the original; the build itself
// may hide the failure.
const strayedFile = ".strayed"

// checkPlace refuses a call that names a file or directory of the original while a copy is built.
func (s *step) checkPlace() error {
	root, origin := os.Getenv(shimRootEnv), os.Getenv(shimOrigEnv)
	if root == origin {
		return nil
	}
	for _, name := range s.places() {
		real, err := filepath.EvalSymlinks(name)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil || !within(real, origin) || within(real, root) {
			continue
		}
		err = fmt.Errorf("%s is in %s while a copy of that is built: the build command, or what it calls, names that tree by its path; have it build where it is started", name, origin)
		return errors.Join(err, os.WriteFile(filepath.Join(os.Getenv(shimObjEnv), strayedFile), []byte(err.Error()), 0o600))
	}
	return nil
}

// placeFlags lists options whose value is a file or directory that the compiler or linker reads.
var placeFlags = []string{"-isystem", "-iquote", "-idirafter", "-include", "-imacros", "-I", "-L", "-B", "-T"}

// places returns the files and directories that a call reads: sources, inputs, and values of options.
func (s *step) places() []string {
	out := slices.Concat(s.sources, s.headers, s.given()) // without run paths, which are not read
	for i, a := range s.all {
		for _, flag := range placeFlags {
			value, ok := strings.CutPrefix(a, flag)
			if ok && value == "" && i+1 < len(s.all) {
				value = s.all[i+1]
			}
			if ok {
				out = append(out, value)
				break
			}
		}
	}
	for _, name := range []string{"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH"} {
		out = append(out, filepath.SplitList(os.Getenv(name))...)
	}
	return slices.DeleteFunc(out, func(name string) bool { return name == "" })
}

// readStrayed returns an error for the call that checkPlace has refused in a build, or nil if there is none.
func readStrayed(objects string) error {
	text, err := os.ReadFile(filepath.Join(objects, strayedFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return errors.New(string(text))
}
