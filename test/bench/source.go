// SPDX-License-Identifier: GPL-2.0

// Package programs holds the C programs of the benchmark as source, so that lpctl can build and run them anywhere.
package programs

import "embed"

// Source has programs/target.c, the program that is stopped, and driver.c, its parent, with all the other ways to stop it.
//
//go:embed programs
var Source embed.FS

// Names are the programs; each is one file of Source.
var Names = []string{"target", "driver"}
