// SPDX-License-Identifier: GPL-2.0

// Package strictyaml reads YAML that people write for lpctl.
package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode reads one document, which has no fields but those of to. The error is of one line: yaml puts each thing that is wrong
// on its own.
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
