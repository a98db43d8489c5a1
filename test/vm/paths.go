// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// root is the top directory of the repository: the nearest one upwards that has test/kernels.yaml. LPATCH_ROOT
// overrides it; scripts/vm-run sets that, because it may be called from anywhere.
var root = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("LPATCH_ROOT"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test/kernels.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside lpatch's source tree, and LPATCH_ROOT is not set")
		}
		dir = parent
	}
})

// inRoot is a path below the repository's top directory.
func inRoot(elem ...string) (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	return filepath.Join(append([]string{dir}, elem...)...), nil
}

// InCache is a path below the directory of downloads, which is build/ unless LPATCH_CACHE names another.
func InCache(elem ...string) (string, error) {
	if dir := os.Getenv("LPATCH_CACHE"); dir != "" {
		return filepath.Join(append([]string{dir}, elem...)...), nil
	}
	return inRoot(append([]string{"build"}, elem...)...)
}
