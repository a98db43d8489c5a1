// SPDX-License-Identifier: GPL-2.0

// Lpctl patches running programs; Documentation/man/lpctl.8.md says how to use it.
package main

import (
	"os"

	"lpatch/pkg/build"
)

func main() {
	if build.IsShim(os.Args[0]) { // "lpctl build source" put it in place of a compiler
		os.Exit(build.ShimMain(os.Args))
	}
	os.Exit(thisHost().run(os.Args, os.Stdout, os.Stderr))
}
