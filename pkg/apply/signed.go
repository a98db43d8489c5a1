// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/sign"
)

// Signed is a patch file that is to be signed or verified.
type Signed struct {
	Spec      *patch.Spec
	Content   []byte // of the file, without a signature
	Signature []byte // nil: there is none
	Message   []byte // what a signature signs
}

// OpenSigned reads and checks a patch file, signed or not.
func OpenSigned(path string) (*Signed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, patch.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := readSigned(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readSigned(data []byte) (*Signed, error) {
	content, signature, err := sign.Split(data)
	if err != nil {
		return nil, err
	}
	p, err := patch.Read(content)
	if err != nil {
		return nil, err
	}
	object := lpnl.Patch{Name: p.Spec.Name, Segments: segments(p), Pin: p.Spec.Pin}
	for i := range p.Spec.Images {
		object.Images = append(object.Images, image(&p.Spec.Images[i], nil))
	}
	tables(&object, p.Spec)
	return &Signed{
		Spec: p.Spec, Content: content, Signature: signature,
		Message: object.SignedMessage(sha256.Sum256(content)),
	}, nil
}
