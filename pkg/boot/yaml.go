// SPDX-License-Identifier: GPL-2.0

package boot

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decodeYAML reads a file of ours, which has no fields but those of to. The error is of one line: yaml puts each thing that is wrong
// on its own.
func decodeYAML(text []byte, to any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(to)
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		return errors.New("yaml: " + strings.Join(wrong.Errors, "; "))
	}
	return err
}
