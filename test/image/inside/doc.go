// SPDX-License-Identifier: GPL-2.0

// Package inside is the part of the test of a whole system that runs in it; its tests have the build tag vm.
package inside
