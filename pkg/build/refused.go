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

// refusedFile is in the directory of the objects, with what no patch can be made after.
const refusedFile = ".refused"

// refuseBuild notes why there will be no patch; the first reason counts. The build goes on.
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

// readRefused returns what refuseBuild has noted in a build.
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
