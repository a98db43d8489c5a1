// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/build"
	"lpatch/pkg/patch"
	"lpatch/pkg/version"
)

func buildCommand() *cli.Command {
	return &cli.Command{
		Name:     "build",
		Usage:    "make a patch file",
		Commands: []*cli.Command{buildObjectsCommand(), buildSourceCommand(), buildDebCommand(), buildValuesCommand()},
		Action:   noCommand,
	}
}

func buildObjectsCommand() *cli.Command {
	return &cli.Command{
		Name:      "objects",
		Usage:     "make a patch of objects from the old and from the new source",
		UsageText: "lpctl build objects --target ELF [--symbols ELF] [--lib PATH]… --old PATH… --new PATH… [--set VAR=FILE]… -o NAME.lp",
		Description: `It compares objects, archives or directories of objects, compiled with -ffunction-sections and -fdata-sections from
the old and from the new source.`,
		Flags: slices.Concat([]cli.Flag{
			targetFlag(), symbolsFlag(), debugDirFlag(), libFlag(),
			&cli.StringSliceFlag{Name: "old", Usage: "objects of the old source, `PATH`; may be repeated"},
			&cli.StringSliceFlag{Name: "new", Usage: "objects of the new source, `PATH`; may be repeated"},
			onFlag(), dataFlag(), setFlag(), patchOutputFlag(), jsonFlag(), quietFlag(),
		}, allowedFlags(), []cli.Flag{startCodeFlag()}, aboutFlags()),
		Action: func(_ context.Context, c *cli.Command) error { return accounting(buildObjects(c)) },
	}
}

func buildSourceCommand() *cli.Command {
	return &cli.Command{
		Name:  "source",
		Usage: "make a patch of a source tree and a change to it",
		UsageText: `lpctl build source DIR --patch FILE --target ELF [--symbols ELF] [--lib PATH]… [--set VAR=FILE]… -o NAME.lp -- BUILD COMMAND…
lpctl build source DIR --patch FILE --target ELF --target ELF… [--lib PATH]… -o DIR -- BUILD COMMAND…`,
		Description: `It builds both itself: a copy of DIR as it is, and with FILE applied. The second form does so once for several programs
and libraries, and makes a patch for each that the change concerns.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringSliceFlag{Name: "target", Usage: "the program or library `ELF` that runs, exactly; may be repeated"},
			symbolsFlag(), debugDirFlag(), libFlag(),
			&cli.StringFlag{Name: "patch", Usage: "the change to the source, `FILE`"},
			onFlag(), dataFlag(), setFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the patch file to make, or of several the directory, `NAME.lp|DIR`"},
			jsonFlag(), quietFlag(),
		}, allowedFlags(), []cli.Flag{startCodeFlag()}, aboutFlags()),
		Action: func(ctx context.Context, c *cli.Command) error { return accounting(buildSource(ctx, c)) },
	}
}

func buildValuesCommand() *cli.Command {
	return &cli.Command{
		Name:      "values",
		Usage:     "make a patch that gives variables other values",
		UsageText: "lpctl build values --target ELF [--symbols ELF] --set VAR=FILE… -o NAME.lp",
		Flags: slices.Concat([]cli.Flag{
			targetFlag(), symbolsFlag(), debugDirFlag(), setFlag(), onFlag(), patchOutputFlag(), jsonFlag(), quietFlag(),
		}, aboutFlags()),
		Action: func(_ context.Context, c *cli.Command) error { return accounting(buildValues(c)) },
	}
}

func targetFlag() cli.Flag {
	return &cli.StringFlag{Name: "target", Usage: "the program or library `ELF` that runs, exactly", OnlyOnce: true}
}

func symbolsFlag() cli.Flag {
	return &cli.StringFlag{Name: "symbols", Usage: "an unstripped build of it, `ELF`"}
}

func debugDirFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "debug-dir", Usage: "look for its separate debug file in `DIR` before /usr/lib/debug"}
}

func libFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "lib", Usage: "a library that the target uses, or a directory of them, `PATH`"}
}

func onFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "on", Usage: "build upon the patch `FIX.lp`, which the target has applied: the old source has its fix; may be repeated, from the lowest on"}
}

func dataFlag() cli.Flag {
	return &cli.BoolFlag{Name: "data", Usage: "replace values, too, whose initialisers differ", HideDefault: true}
}

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "give the variable VAR, or SOURCE:VAR, the bytes of FILE, as `VAR=FILE`; may be repeated"}
}

func patchOutputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the patch file to make, `NAME.lp`"}
}

// allowedFlags are what the author may say to be all right, however the patch is made.
func allowedFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "layout-ok", Usage: "let the layout of `TYPE` change: you assert that new code never sees one that old code has made"},
		&cli.BoolFlag{Name: "no-debug-info-ok", Usage: "assume that no type changed in objects without debug information; nothing checks that", HideDefault: true},
		&cli.StringSliceFlag{Name: "caller-ok", Usage: "let new code of `FUNCTION` call dlsym, dlopen and the like, which cannot tell whose code calls them"},
		&cli.StringSliceFlag{Name: "not-part-of", Usage: "assert that `OBJECT`, which differs, is not part of the target; may be repeated"},
	}
}

func startCodeFlag() cli.Flag {
	return &cli.BoolFlag{Name: "start-code-ok", Usage: "code that runs only as the program starts may change: lpctl boot bake puts the patch into the file", HideDefault: true}
}

// tool is how a patch names what made it.
const tool = "lpctl " + version.Number

// buildJSON is what build --json prints.
type buildJSON struct {
	Patch     string   `json:"patch"`
	File      string   `json:"file"` // empty if none was made
	SHA256    string   `json:"sha256"`
	Functions int      `json:"functions"`
	Values    int      `json:"values"`
	Added     []string `json:"added"`
	// LeftOut are objects that differ and are no part of the target.
	LeftOut  []patch.LeftOut `json:"left_out_objects"`
	Imports  []string        `json:"imports"` // files beside the target that the patch refers to
	Warnings []string        `json:"warnings"`
	Refusals []refusalJSON   `json:"refusals"`
	About    *patch.About    `json:"about,omitempty"`
}

// refusalJSON is one reason why no patch was made.
type refusalJSON struct {
	Code    string `json:"code"`
	File    string `json:"file"`
	Symbol  string `json:"symbol"`
	Message string `json:"message"`
}

func buildObjects(c *cli.Command) error {
	if c.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; each PATH has a --old or --new of its own, see %s --help", c.Args().First(), c.FullName())
	}
	if !c.IsSet("old") || !c.IsSet("new") {
		return fmt.Errorf("--old and --new go together; see %s --help", c.FullName())
	}
	return buildOne(c, c.String("target"), func(name string, about *patch.About, sets []build.Set) (*build.Result, error) {
		return build.FromObjects(build.Options{
			Target: c.String("target"), Symbols: c.String("symbols"), DebugDirs: c.StringSlice("debug-dir"), Libraries: c.StringSlice("lib"),
			Old: c.StringSlice("old"), New: c.StringSlice("new"), Data: c.Bool("data"), Allowed: allowed(c), Set: sets,
			On: c.StringSlice("on"), NotPartOf: c.StringSlice("not-part-of"), Name: name, About: about, Tool: tool,
		})
	})
}

func buildValues(c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	if !c.IsSet("set") {
		return fmt.Errorf("--set is missing: the variable and the file with its bytes, VAR=FILE; see %s --help", c.FullName())
	}
	return buildOne(c, c.String("target"), func(name string, about *patch.About, sets []build.Set) (*build.Result, error) {
		return build.FromObjects(build.Options{
			Target: c.String("target"), Symbols: c.String("symbols"), DebugDirs: c.StringSlice("debug-dir"), Set: sets,
			On: c.StringSlice("on"), Name: name, About: about, Tool: tool,
		})
	})
}

func buildSource(ctx context.Context, c *cli.Command) error {
	switch {
	case c.Args().First() == "":
		return fmt.Errorf("the directory of the source, DIR, is missing; see %s --help", c.FullName())
	case c.NArg() == 1:
		return errors.New("no build command; give it behind --, as in: -- make -j4")
	case c.String("patch") == "":
		return fmt.Errorf("--patch is missing: the change to the source; see %s --help", c.FullName())
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	targets := c.StringSlice("target")
	if len(targets) > 1 {
		return buildSeveral(ctx, c, targets)
	}
	return buildOne(c, strings.Join(targets, ""), func(name string, about *patch.About, sets []build.Set) (*build.Result, error) {
		o := sourceOptions(c, name)
		o.About = about
		o.Target, o.Symbols, o.Set, o.On = targets[0], c.String("symbols"), sets, c.StringSlice("on")
		return build.FromSource(ctx, o)
	})
}

// buildOne makes a patch file for one target.
func buildOne(c *cli.Command, target string, makePatch func(name string, about *patch.About, sets []build.Set) (*build.Result, error)) error {
	out := c.String("output")
	name, ok := strings.CutSuffix(filepath.Base(out), ".lp")
	switch {
	case target == "":
		return fmt.Errorf("--target is missing; see %s --help", c.FullName())
	case !ok:
		return fmt.Errorf("-o is missing, or is not NAME.lp; see %s --help", c.FullName())
	}
	if err := atomicfile.CanWrite(out); err != nil {
		return err
	}
	sets, err := parseSets(c)
	if err != nil {
		return err
	}
	about, err := aboutOf(c, "")
	if err != nil {
		return err
	}
	res, err := makePatch(name, about, sets)
	var refusals build.Refusals
	if errors.As(err, &refusals) {
		return refuse(c, name, refusals)
	}
	if errors.Is(err, build.ErrNothing) {
		return nothing(err)
	}
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(out, res.Data, 0o644); err != nil {
		return err
	}
	return built(c, name, out, res)
}

// allowed is what the author says to be all right.
func allowed(c *cli.Command) build.Allowed {
	return build.Allowed{
		LayoutOK: c.StringSlice("layout-ok"), NoDebugInfoOK: c.Bool("no-debug-info-ok"), CallerOK: c.StringSlice("caller-ok"), StartCodeOK: c.Bool("start-code-ok"),
	}
}

// sourceOptions are those of build source, but for the target and what is said of it.
func sourceOptions(c *cli.Command, name string) build.SourceOptions {
	o := build.SourceOptions{
		DebugDirs: c.StringSlice("debug-dir"), Libraries: c.StringSlice("lib"), Source: c.Args().First(), Patch: c.String("patch"),
		Command: c.Args().Tail(), Data: c.Bool("data"), Allowed: allowed(c),
		NotPartOf: c.StringSlice("not-part-of"), Name: name, Tool: tool,
	}
	o.Progress = reporter(c)
	return o
}

// parseSets reads the options --set, VAR=FILE.
func parseSets(c *cli.Command) ([]build.Set, error) {
	var sets []build.Set
	for _, arg := range c.StringSlice("set") {
		variable, file, ok := strings.Cut(arg, "=")
		if !ok || variable == "" || file == "" {
			return nil, fmt.Errorf("--set %s: is not VAR=FILE; see %s --help", arg, c.FullName())
		}
		sets = append(sets, build.Set{Variable: variable, File: file})
	}
	return sets, nil
}

func warn(c *cli.Command, list []string) {
	for _, w := range list {
		fmt.Fprintf(c.ErrWriter, "lpctl: warning: %s\n", w)
	}
}

func built(c *cli.Command, name, out string, res *build.Result) error {
	warn(c, res.Warnings)
	functions, values := count(res.Spec)
	if c.Bool("json") {
		sum := sha256.Sum256(res.Data)
		return printJSON(c.Writer, buildJSON{
			Patch: name, File: out, SHA256: hex.EncodeToString(sum[:]), Functions: functions, Values: values,
			Added: append([]string{}, res.Added...), LeftOut: append([]patch.LeftOut{}, res.LeftOut...), Imports: imports(res.Spec), Warnings: append([]string{}, res.Warnings...), Refusals: []refusalJSON{},
			About: res.Spec.About,
		})
	}
	if c.Bool("quiet") {
		return nil
	}
	facts := changes(functions, values)
	if n := len(res.Added); n > 0 {
		facts = append(facts, plural(n, "new function"))
	}
	if n := len(res.LeftOut); n > 0 {
		facts = append(facts, fmt.Sprintf("%s left out that %s no part of it", plural(n, "object"), isAre(n)))
	}
	for _, u := range res.Spec.Upon {
		facts = append(facts, "upon "+u.Name)
	}
	if libs := imports(res.Spec); len(libs) > 0 {
		facts = append(facts, "new imports from "+strings.Join(libs, " and "))
	}
	return printLine(c.Writer, "built %s: %s", out, strings.Join(facts, ", "))
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// imports lists the libraries that a patch refers to and changes nothing in.
func imports(s *patch.Spec) []string {
	changed := map[int]bool{}
	for _, site := range s.Sites {
		changed[site.Image] = true
	}
	for _, u := range s.Upon {
		changed[u.Image] = true
	}
	names := []string{}
	for i, im := range s.Images {
		if !changed[i] {
			names = append(names, cmp.Or(im.Soname, im.Name))
		}
	}
	return names
}

// count returns how many functions and values a patch replaces. A value may have several sites.
func count(s *patch.Spec) (functions, values int) {
	seen := map[place]bool{}
	for _, site := range s.Sites {
		if s.Passes(&site) {
			continue
		}
		if site.Kind == patch.SiteJump {
			functions++
		} else {
			seen[place{site.Image, site.Symbol}] = true
		}
	}
	return functions, len(seen)
}

// refuse prints all reasons why there is no patch.
func refuse(c *cli.Command, name string, list build.Refusals) error {
	if c.Bool("json") {
		out := buildJSON{Patch: name, Added: []string{}, LeftOut: []patch.LeftOut{}, Imports: []string{}, Warnings: []string{}}
		out.Refusals = refusalsJSON(list)
		if err := printJSON(c.Writer, out); err != nil {
			return err
		}
	}
	complainAll(c.ErrWriter, list)
	return &exitError{status: exitRefused, reported: true}
}

func refusalsJSON(list build.Refusals) []refusalJSON {
	out := []refusalJSON{}
	for _, r := range list {
		out = append(out, refusalJSON{Code: string(r.Code), File: r.File, Symbol: r.Symbol, Message: r.Text})
	}
	return out
}

func complainAll(w io.Writer, list build.Refusals) {
	fmt.Fprintf(w, "lpctl: refused: no patch can be made, for %s:\n", plural(len(list), "reason"))
	for _, r := range list {
		where := r.File
		if r.Symbol != "" {
			where += ": " + r.Symbol
		}
		fmt.Fprintf(w, "%s: [%s] %s\n", where, r.Code, r.Text)
	}
}
