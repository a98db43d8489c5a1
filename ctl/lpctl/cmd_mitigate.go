// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/build"
	"lpatch/pkg/mitigate"
)

func mitigateCommand() *cli.Command {
	return &cli.Command{
		Name:  "mitigate",
		Usage: "make a patch that keeps a function from doing harm until there is a fix",
		UsageText: `lpctl mitigate --target ELF {--function NAME | --offset ADDRESS} {--return N | --log | --trap} [--returns TYPE]
   [--symbols ELF] [--debug-dir DIR]… -o NAME.lp`,
		Description: `The patch returns a constant in place of the function, counts its calls and changes nothing, or ends the program
that calls it. It is a patch as any other; "lpctl status" shows how often the function was called, and "lpctl apply" of
a fix that replaces the function takes the mitigation off. No compiler and no source are needed. NAME is the symbol, or
what it is in the source; SOURCE:NAME for a static one and NAME@VERSION where there are several.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "target", Usage: "the program or library `ELF` that runs, exactly"},
			&cli.StringFlag{Name: "function", Usage: "the function `NAME`"},
			&cli.StringFlag{Name: "offset", Usage: "the function that begins at `ADDRESS` of the file, for one without a name"},
			&cli.StringFlag{Name: "return", Usage: "return the number `N`, or void for nothing, in its place"},
			&cli.BoolFlag{Name: "log", Usage: "count its calls", HideDefault: true},
			&cli.BoolFlag{Name: "trap", Usage: "end the program by SIGILL when it is called", HideDefault: true},
			&cli.StringFlag{Name: "returns", Usage: "it is known to return a `TYPE`: " + strings.Join(mitigate.Types, ", ")},
			&cli.StringFlag{Name: "symbols", Usage: "an unstripped build of the target or its debug file, `ELF`"},
			&cli.StringSliceFlag{Name: "debug-dir", Usage: "look for its separate debug file in `DIR` before /usr/lib/debug"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the patch file to make, `NAME.lp`"},
			jsonFlag(), quietFlag(),
		},
		Action: makeMitigation,
	}
}

func makeMitigation(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	out := c.String("output")
	name, ok := strings.CutSuffix(filepath.Base(out), ".lp")
	switch {
	case c.String("target") == "":
		return errors.New("--target is missing; see lpctl mitigate --help")
	case !ok:
		return errors.New("-o is missing, or is not NAME.lp; see lpctl mitigate --help")
	}
	if err := atomicfile.CanWrite(out); err != nil {
		return err
	}
	res, err := mitigate.Make(mitigate.Options{
		Target: c.String("target"), Symbols: c.String("symbols"), DebugDirs: c.StringSlice("debug-dir"),
		Function: c.String("function"), Address: c.String("offset"),
		Return: c.String("return"), Returns: c.String("returns"), Log: c.Bool("log"), Trap: c.Bool("trap"), Name: name, Tool: tool,
	})
	var refusals build.Refusals
	if errors.As(err, &refusals) {
		return refuse(c, name, refusals)
	}
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(out, res.Data, 0o644); err != nil {
		return err
	}
	return built(c, name, out, res)
}
