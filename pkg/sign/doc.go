// SPDX-License-Identifier: GPL-2.0

// Package sign creates and verifies the signature that is appended to a patch file, and passes certificates to the kernel.
// The signed message is defined by pkg/apply and pkg/lpnl; this package treats it as bytes.
package sign
