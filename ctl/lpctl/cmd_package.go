// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/packaging"
)

func packageCommand() *cli.Command {
	return &cli.Command{
		Name:      "package",
		Usage:     "make a Debian or RPM package of patches",
		ArgsUsage: "NAME.lp...",
		Description: "The package registers and applies the patches where it is installed. A newer one takes the place of an older one.\n" +
			"Name and version are those of the source package and of the version with the fix, as the patches say them (build --about).",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "deb", Usage: "make a Debian package", HideDefault: true},
			&cli.BoolFlag{Name: "rpm", Usage: "make an RPM package", HideDefault: true},
			&cli.StringFlag{Name: "out", Value: ".", Usage: "put it into the directory `DIR`"},
			&cli.StringFlag{Name: "name", Usage: "call it `NAME` (default: lpatch-fix-SOURCE)"},
			&cli.StringFlag{Name: "version", Usage: "its version is `V`"},
			&cli.StringFlag{Name: "maintainer", Usage: "who is in charge of it, `\"NAME <ADDRESS>\"` (default: from DEBFULLNAME and DEBEMAIL)"},
			&cli.StringSliceFlag{Name: "trigger", Usage: "a file that a patch is for comes at `PATH`, too; may be repeated"},
			quietFlag(),
		},
		Action: packageAction,
	}
}

func packageAction(ctx context.Context, c *cli.Command) error {
	var kinds []*packaging.Kind
	if c.Bool("deb") {
		kinds = append(kinds, packaging.Deb)
	}
	if c.Bool("rpm") {
		kinds = append(kinds, packaging.RPM)
	}
	if len(kinds) == 0 {
		return errors.New("say what to make: --deb or --rpm, or both; see lpctl package --help")
	}
	if c.NArg() == 0 {
		return errors.New("name the patch files, NAME.lp; see lpctl package --help")
	}
	for _, name := range []string{"out", "name", "version", "maintainer"} {
		if c.IsSet(name) && c.String(name) == "" {
			return fmt.Errorf("--%s is empty; leave it out, or see lpctl package --help", name)
		}
	}
	made, err := packageTime()
	if err != nil {
		return err
	}
	p, err := packaging.New(c.Args().Slice(), packaging.Options{
		Name: c.String("name"), Version: c.String("version"), Triggers: c.StringSlice("trigger"), Time: made,
		Maintainer: cmp.Or(c.String("maintainer"), os.Getenv("DEBFULLNAME")+" <"+os.Getenv("DEBEMAIL")+">"),
	})
	if err != nil {
		return err
	}
	files, err := p.Build(ctx, kinds, c.String("out"))
	for _, file := range files {
		if !c.Bool("quiet") {
			_ = printLine(c.Writer, "made %s: %s", file, p.Summary())
		}
	}
	if err != nil {
		return err
	}
	if unsigned := p.Unsigned(); len(unsigned) > 0 && !c.Bool("quiet") {
		fmt.Fprintf(c.ErrWriter, "lpctl: note: not signed: %s; a kernel that requires signatures refuses that; lpctl sign does it before the package is made\n",
			strings.Join(unsigned, ", "))
	}
	return nil
}

// packageTime is that of all in a package: now, or what SOURCE_DATE_EPOCH says in seconds.
func packageTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q, no number of seconds since 1970; correct or unset it", text)
	}
	return time.Unix(n, 0), nil
}
