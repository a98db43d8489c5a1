// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// refusedFile is a file in the directory of objects with the reason why no patch can be built.
const refusedFile = ".refused"

// refuseBuild records the reason why no patch can be built. The first reason counts. The build continues.
func refuseBuild(why error) error {
	f, err := os.OpenFile(filepath.Join(os.Getenv(shimObjEnv), refusedFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = f.WriteString(why.Error())
	return errors.Join(err, f.Close())
}

// readRefused returns the reason recorded by refuseBuild as an error.
func readRefused(objects, what string) error {
	text, err := os.ReadFile(filepath.Join(objects, refusedFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return diff.Refusals{{Code: codes.ObjectUnseen, File: what, Text: string(text)}}
}
