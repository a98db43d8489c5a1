// SPDX-License-Identifier: GPL-2.0

package boot

import "strings"

// IsOff tells whether lpatch.boot=off, or another word for it that the kernel knows (kstrtobool), is on the kernel's command line;
// the last one counts. modprobe gives it to the module too, which then refuses boot entries; insmod and the like do not.
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
