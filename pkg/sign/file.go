// SPDX-License-Identifier: GPL-2.0

package sign

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// marker is the last line of a signed file (kmod/signature.c).
const marker = "~lpatch signature appended~\n"

// infoSize is the size in bytes of the kernel's struct module_signature, which precedes the marker: eight bytes, of which the
// third one is PKEY_ID_PKCS7 and the others are 0, and the length of the signature in big-endian order.
const (
	infoSize    = 12
	idTypeAt    = 2
	idTypePKCS7 = 2
	lengthAt    = 8
)

// MaxSize is the maximum size of a signature in bytes, as in the kernel.
const MaxSize = 64 << 10

// ErrMalformed is returned for a file with the marker of a signed file but an invalid trailer.
var ErrMalformed = errors.New("what is appended to the file is no valid signature")

// Split splits a file into its content and its signature, which is nil if there is none.
func Split(file []byte) (content, signature []byte, err error) { return split(file, marker) }

func split(file []byte, end string) (content, signature []byte, err error) {
	rest, found := bytes.CutSuffix(file, []byte(end))
	if !found {
		return file, nil, nil
	}
	if len(rest) < infoSize {
		return nil, nil, ErrMalformed
	}
	rest, info := rest[:len(rest)-infoSize], rest[len(rest)-infoSize:]
	n := binary.BigEndian.Uint32(info[lengthAt:])
	if !bytes.Equal(info[:lengthAt], signatureInfo(0)[:lengthAt]) || n == 0 || n > MaxSize || uint64(n) >= uint64(len(rest)) {
		return nil, nil, ErrMalformed
	}
	at := len(rest) - int(n)
	return rest[:at], rest[at:], nil
}

// Append returns content followed by a signature.
func Append(content, signature []byte) []byte {
	return bytes.Join([][]byte{content, signature, signatureInfo(len(signature)), []byte(marker)}, nil)
}

func signatureInfo(length int) []byte {
	info := make([]byte, infoSize)
	info[idTypeAt] = idTypePKCS7
	binary.BigEndian.PutUint32(info[lengthAt:], uint32(length))
	return info
}
