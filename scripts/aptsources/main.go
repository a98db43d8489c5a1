// SPDX-License-Identifier: GPL-2.0

// Command aptsources prints what the scripts need to know of this machine's apt: lines of sources.list for suites of Debian's
// archive, from where this machine gets it (or from LPATCH_MIRROR), or the settings that lead there.
//
//	aptsources [-kind deb-src] -keep DIR SUITE...
//	aptsources -settings
//
// Keys that stand in a source itself are put into DIR.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"lpatch/pkg/deb"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "aptsources:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	kind := flag.String("kind", "deb", "`TYPE` of sources: deb or deb-src")
	keep := flag.String("keep", "", "`DIR` for keys")
	settings := flag.Bool("settings", false, "print the settings")
	flag.Parse()
	if *settings {
		text, err := deb.Settings(ctx)
		fmt.Print(text)
		return err
	}
	if *keep == "" || flag.NArg() == 0 {
		return errors.New("usage: aptsources [-kind deb-src] -keep DIR SUITE... | -settings")
	}
	m, err := deb.FindMirrors(ctx, *keep, os.Getenv("LPATCH_MIRROR"))
	if err != nil {
		return err
	}
	fmt.Print(m.List([]string{*kind}, flag.Args()...))
	return nil
}
