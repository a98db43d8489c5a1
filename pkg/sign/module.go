// SPDX-License-Identifier: GPL-2.0

package sign

import "bytes"

// moduleMarker ends a signed kernel module (include/linux/module_signature.h). What is before it is as in a signed patch.
const moduleMarker = "~Module signature appended~\n"

// SplitModule separates the content of a kernel module from its signature, which is nil if it has none.
func SplitModule(file []byte) (content, signature []byte, err error) {
	return split(file, moduleMarker)
}

// AppendModule returns a kernel module with a signature behind it.
func AppendModule(content, signature []byte) []byte {
	return bytes.Join([][]byte{content, signature, signatureInfo(len(signature)), []byte(moduleMarker)}, nil)
}
