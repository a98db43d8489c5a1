package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"lpatch/pkg/diff"
)

// refusedFile is in the directory of the objects, with what no patch can be made after.
const refusedFile = ".refused"

// refuseBuild notes why there will be no patch. The build goes on.
func refuseBuild(why error) error {
	name := filepath.Join(os.Getenv(shimObjEnv), refusedFile)
	if _, err := os.Stat(name); err == nil {
		return nil // the first reason counts
	}
	return os.WriteFile(name, []byte(why.Error()), 0o600)
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
	return diff.Refusals{{Code: "object-unseen", File: what, Text: string(text)}}
}
