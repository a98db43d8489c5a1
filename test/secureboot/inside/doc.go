// SPDX-License-Identifier: GPL-2.0

// Package inside is the part of the test of Secure Boot that runs in the machine; its tests have the build tag vm.
package inside
