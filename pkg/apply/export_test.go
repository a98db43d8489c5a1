// SPDX-License-Identifier: GPL-2.0

package apply

// Bounds that tests change.
var (
	MaxLook = &maxLook
	MaxRead = &maxRead

	MaxRecount = &maxRecount
	MaxRounds  = &maxRounds
)
