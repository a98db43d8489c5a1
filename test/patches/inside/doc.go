// SPDX-License-Identifier: GPL-2.0

// Package inside applies the patches of test/patches inside a machine; its tests have the build tag vm.
package inside
