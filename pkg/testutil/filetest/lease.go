// SPDX-License-Identifier: GPL-2.0

package filetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Lease creates a file on which the test holds a lease until it ends. Opening the file blocks for lease-break-time, 45
// seconds.
func Lease(tb testing.TB, path string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o755)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		tb.Fatalf("%s: a lease: %v", path, err)
	}
}
