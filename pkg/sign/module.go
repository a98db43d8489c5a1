// SPDX-License-Identifier: GPL-2.0

package sign

import "bytes"

// moduleMarker is the last line of a signed kernel module (include/linux/module_signature.h). The preceding trailer is the
// same as that of a signed patch.
const moduleMarker = "~Module signature appended~\n"

// SplitModule splits a kernel module into its content and its signature, which is nil if there is none.
func SplitModule(file []byte) (content, signature []byte, err error) {
	return split(file, moduleMarker)
}

// AppendModule returns a kernel module followed by a signature.
func AppendModule(content, signature []byte) []byte {
	return bytes.Join([][]byte{content, signature, signatureInfo(len(signature)), []byte(moduleMarker)}, nil)
}
