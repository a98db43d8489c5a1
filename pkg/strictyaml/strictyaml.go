// SPDX-License-Identifier: GPL-2.0

// Package strictyaml reads YAML files written by users of lpctl.
package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode decodes one document into to. Unknown fields are errors. The error has one line; package yaml reports each problem
// on a line of its own.
func Decode(text []byte, to any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(to)
	var wrong *yaml.TypeError
	switch {
	case errors.As(err, &wrong):
		return errors.New("yaml: " + strings.Join(wrong.Errors, "; "))
	case err != nil:
		return err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("yaml: there is more than one document")
	}
	return nil
}
