// SPDX-License-Identifier: GPL-2.0

package sign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Keyring is the serial number of a keyring of the kernel.
type Keyring int

// Count returns the number of keys in the keyring that can verify signatures, and of those that have expired or were revoked.
func (k Keyring) Count() (usable, ended int, err error) {
	// reading a keyring returns the serial numbers of its keys; the result is the size of the complete list
	list := make([]byte, 1<<12)
	for {
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, int(k), list, 0)
		if err != nil {
			return 0, 0, fmt.Errorf("the keyring .lpatch: %w", err)
		}
		if n <= len(list) {
			list = list[:n]
			break
		}
		list = make([]byte, n)
	}
	for ; len(list) >= 4; list = list[4:] {
		about, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, int(int32(binary.NativeEndian.Uint32(list))))
		switch {
		case errors.Is(err, unix.EKEYEXPIRED), errors.Is(err, unix.EKEYREVOKED), errors.Is(err, unix.ENOKEY):
			ended++
		case err != nil:
			return 0, 0, fmt.Errorf("a key in the keyring .lpatch: %w", err)
		case strings.HasPrefix(about, "asymmetric;"):
			usable++
		}
	}
	return usable, ended, nil
}
