// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
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

	"github.com/urfave/cli/v2"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/build"
	"lpatch/pkg/patch"
	"lpatch/pkg/progress"
	"lpatch/pkg/version"
)

func buildCommand() *cli.Command {
	return &cli.Command{
		Name:  "build",
		Usage: "make a patch file",
		UsageText: `lpctl build --target ELF [--symbols ELF] [--lib PATH]… --old PATH… --new PATH… -o NAME.lp
lpctl build --target ELF [--symbols ELF] [--lib PATH]… --source DIR --patch FILE -o NAME.lp -- BUILD COMMAND…
lpctl build --target ELF --target ELF… [--lib PATH]… --source DIR --patch FILE -o DIR -- BUILD COMMAND…
lpctl build --target ELF [--symbols ELF] --set VAR=FILE… -o NAME.lp
lpctl build --deb SOURCE --from VERSION {--to VERSION [--fix NAME]… | --patch FILE} [--suite NAME] [--mirror URL] [--snapshot URL] [--buildinfo FILE] [--work DIR] [--jobs N] -o DIR`,
		Description: `The first form compares objects, archives or directories of objects, compiled with -ffunction-sections and
-fdata-sections from the old and from the new source. The second form builds both itself: a copy of DIR as it is, and
with FILE applied. The third form does so once for several programs and libraries, and makes a patch for each that the
change concerns. The fourth form replaces values only; --set goes with the first two, too. The fifth form does all of
it for a Debian package: it builds the version that runs in a clean root, compares it with Debian's own files, builds it
again with the fixes of the newer version, and makes a patch for each program and library that they change (as root).`,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "target", Usage: "the program or library `ELF` that runs, exactly; several with --source"},
			&cli.StringFlag{Name: "symbols", Usage: "an unstripped build of it, `ELF`"},
			&cli.StringSliceFlag{Name: "debug-dir", Usage: "look for its separate debug file in `DIR` before /usr/lib/debug"},
			&cli.StringSliceFlag{Name: "lib", Usage: "a library that the target uses, or a folder of them, `PATH`"},
			&cli.StringSliceFlag{Name: "old", Usage: "objects of the old source, one or more `PATH`"},
			&cli.StringSliceFlag{Name: "new", Usage: "objects of the new source, one or more `PATH`"},
			&cli.StringFlag{Name: "source", Usage: "the source `DIR` of the target"},
			&cli.StringFlag{Name: "patch", Usage: "the change to the source, `FILE`"},
			&cli.StringSliceFlag{Name: "on", Usage: "build upon the patch `FIX.lp`, which the target has applied: the old source has its fix; may be repeated, from the lowest on"},
			&cli.BoolFlag{Name: "data", Usage: "replace values, too, whose initialisers differ", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "layout-ok", Usage: "the layout of the structure `TYPE` may change: new code sees none that old code has made"},
			&cli.BoolFlag{Name: "no-debug-info-ok", Usage: "no type changed in objects whose debug information does not tell; nothing checks that"},
			&cli.StringSliceFlag{Name: "caller-ok", Usage: "the new code of `FUNCTION` may ask the dynamic linker, which does not know whose code it is"},
			&cli.BoolFlag{Name: "start-code-ok", Usage: "code that runs only as the program starts may change: lpctl boot bake puts the patch into the file", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "not-part-of", Usage: "`OBJECT` differs, and is no part of the target; may be repeated"},
			&cli.StringSliceFlag{Name: "set", Usage: "give the variable VAR, or SOURCE:VAR, the bytes of FILE, as `VAR=FILE`; may be repeated"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the patch file to make, `NAME.lp`"},
			jsonFlag(), quietFlag(),
		}, slices.Concat(aboutFlags(), debFlags())...),
		Action: accounting(buildPatch),
	}
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

func buildPatch(c *cli.Context) error {
	if c.IsSet("deb") {
		return buildPackage(c)
	}
	if err := misplaced(c, "", onlyDeb()); err != nil {
		return err
	}
	out := c.String("output")
	name, ok := strings.CutSuffix(filepath.Base(out), ".lp")
	switch targets := c.StringSlice("target"); {
	case len(targets) == 0 || targets[0] == "":
		return errors.New("--target is missing; see lpctl build --help")
	case len(targets) > 1:
		return buildSeveral(c, targets)
	case !ok:
		return errors.New("-o is missing, or is not NAME.lp; see lpctl build --help")
	}
	if err := atomicfile.CanWrite(out); err != nil {
		return err
	}
	res, err := makePatch(c, name)
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

// makePatch builds a patch in the way that the options ask for.
func makePatch(c *cli.Context, name string) (*build.Result, error) {
	olds, news, source := c.StringSlice("old"), c.StringSlice("new"), c.String("source")
	sets, err := parseSets(c.StringSlice("set"))
	if err != nil {
		return nil, err
	}
	about, err := aboutOf(c)
	if err != nil {
		return nil, err
	}
	sources := source != "" || c.String("patch") != ""
	objects := len(olds)+len(news) > 0 || len(sets) > 0 && !sources
	switch {
	case objects && sources:
		return nil, errors.New("--old and --new do not go with --source and --patch; see lpctl build --help")
	case objects && c.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q; see lpctl build --help", c.Args().First())
	case (len(olds) == 0) != (len(news) == 0):
		return nil, errors.New("--old and --new go together; see lpctl build --help")
	case objects && len(olds) == 0 && c.Bool("data"):
		return nil, errors.New("--data compares old and new; give --old and --new, or --source and --patch")
	case !objects && (source == "" || c.String("patch") == ""):
		return nil, errors.New("give --old and --new, --source and --patch, or --set; see lpctl build --help")
	}
	if objects {
		return build.FromObjects(build.Options{
			Target: c.StringSlice("target")[0], Symbols: c.String("symbols"), DebugDirs: c.StringSlice("debug-dir"),
			Libraries: c.StringSlice("lib"), Old: olds, New: news, Data: c.Bool("data"), Allowed: allowed(c),
			Set: sets, On: c.StringSlice("on"), NotPartOf: c.StringSlice("not-part-of"), Name: name, About: about, Tool: tool,
		})
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := sourceOptions(c, name)
	o.About = about
	o.Target, o.Symbols, o.Set, o.On = c.StringSlice("target")[0], c.String("symbols"), sets, c.StringSlice("on")
	return build.FromSource(ctx, o)
}

// allowed is what the author says to be all right.
func allowed(c *cli.Context) build.Allowed {
	return build.Allowed{
		LayoutOK: c.StringSlice("layout-ok"), NoDebugInfoOK: c.Bool("no-debug-info-ok"), CallerOK: c.StringSlice("caller-ok"), StartCodeOK: c.Bool("start-code-ok"),
	}
}

// sourceOptions are those of build --source, but for the target and what is said of it.
func sourceOptions(c *cli.Context, name string) build.SourceOptions {
	o := build.SourceOptions{
		DebugDirs: c.StringSlice("debug-dir"), Libraries: c.StringSlice("lib"), Source: c.String("source"), Patch: c.String("patch"),
		Command: c.Args().Slice(), Data: c.Bool("data"), Allowed: allowed(c),
		NotPartOf: c.StringSlice("not-part-of"), Name: name, Tool: tool,
	}
	if !c.Bool("quiet") {
		o.Progress = progress.Reporter{To: c.App.ErrWriter, Live: isTerminal(c.App.ErrWriter)}
	}
	return o
}

// parseSets reads the options --set, VAR=FILE.
func parseSets(args []string) ([]build.Set, error) {
	var sets []build.Set
	for _, arg := range args {
		variable, file, ok := strings.Cut(arg, "=")
		if !ok || variable == "" || file == "" {
			return nil, fmt.Errorf("--set %s: is not VAR=FILE; see lpctl build --help", arg)
		}
		sets = append(sets, build.Set{Variable: variable, File: file})
	}
	return sets, nil
}

func warn(c *cli.Context, list []string) {
	for _, w := range list {
		fmt.Fprintf(c.App.ErrWriter, "lpctl: warning: %s\n", w)
	}
}

func built(c *cli.Context, name, out string, res *build.Result) error {
	warn(c, res.Warnings)
	functions, values := count(res.Spec)
	if c.Bool("json") {
		sum := sha256.Sum256(res.Data)
		return printJSON(c.App.Writer, buildJSON{
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
	return printLine(c.App.Writer, "built %s: %s", out, strings.Join(facts, ", "))
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
func refuse(c *cli.Context, name string, list build.Refusals) error {
	if c.Bool("json") {
		out := buildJSON{Patch: name, Added: []string{}, LeftOut: []patch.LeftOut{}, Imports: []string{}, Warnings: []string{}}
		out.Refusals = refusalsJSON(list)
		if err := printJSON(c.App.Writer, out); err != nil {
			return err
		}
	}
	complainAll(c.App.ErrWriter, list)
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
