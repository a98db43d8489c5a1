// SPDX-License-Identifier: GPL-2.0

package boot

import "strings"

// IsOff reports whether the kernel's command line contains lpatch.boot with the value off or another false value
// (kstrtobool); the last occurrence counts. modprobe passes this parameter to the module, which then rejects boot entries;
// insmod does not.
func IsOff(commandLine string) bool {
	off := false
	for word := range strings.FieldsSeq(commandLine) {
		if value, ok := strings.CutPrefix(word, "lpatch.boot="); ok {
			value = strings.ToLower(value)
			off = strings.HasPrefix(value, "0") || strings.HasPrefix(value, "n") || strings.HasPrefix(value, "of")
		}
	}
	return off
}
