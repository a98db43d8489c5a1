// SPDX-License-Identifier: GPL-2.0

// Package sign makes and checks the signature that is appended to a patch file, and hands certificates to the kernel. What
// is signed is the matter of pkg/apply and pkg/lpnl; here it is a message of some bytes.
package sign
