// SPDX-License-Identifier: GPL-2.0

// Package cases holds the test cases that run inside a virtual machine, as root, with the module loaded. They are
// compiled with the build tag vm into one static test binary; test/vm_test.go runs each of its tests as a case on each
// kernel.
package cases
