// SPDX-License-Identifier: GPL-2.0

// Package tree tests lpatch as a part of the kernel's own source tree: what scripts/kernel-tree-install does to a tree, and,
// for the kernels tree-* in LPATCH_VM (test/vm.TestKernels), what is built of it. The test cases proper are those of
// package test, which `make test-tree` runs on the same kernels.
package tree
