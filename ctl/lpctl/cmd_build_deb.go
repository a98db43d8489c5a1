// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/atomicfile"
	"lpatch/pkg/build"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

func buildDebCommand() *cli.Command {
	return &cli.Command{
		Name:  "deb",
		Usage: "make patches of a fix of a Debian source package, for all its programs and libraries",
		UsageText: `lpctl build deb SOURCE --from VERSION {--to VERSION [--fix NAME]… | --patch FILE} [--suite NAME] [--mirror URL] [--snapshot URL]
   [--buildinfo FILE] [--work DIR] [--jobs N] -o DIR`,
		Description: `It builds the version that runs in a clean root, compares it with Debian's own files, builds it again with the fixes of the
newer version, and makes a patch for each program and library that they change.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the `VERSION` of it that runs, or a .dsc file or unpacked directory of it"},
			&cli.StringFlag{Name: "to", Usage: "the `VERSION` that has the fix, or a .dsc file or unpacked directory of it"},
			&cli.StringSliceFlag{Name: "fix", Usage: "only the patch `NAME` of those in debian/patches that are new; may be repeated"},
			&cli.StringFlag{Name: "patch", Usage: "the fix, `FILE`"},
			&cli.StringFlag{Name: "suite", Usage: "the release, `NAME` (default: this machine's)"},
			&cli.StringFlag{Name: "mirror", Sources: cli.EnvVars("LPATCH_MIRROR"), Usage: "fetch from `URL` (default: where apt of this machine gets Debian)"},
			&cli.StringFlag{Name: "snapshot", Usage: "fetch what the archive has dropped, and what the package builds with, from the snapshot archive `URL`"},
			&cli.StringFlag{Name: "buildinfo", Usage: "build with exactly what `FILE` says, the .buildinfo of the stock packages"},
			&cli.StringFlag{Name: "work", Usage: "keep what is fetched and built in `DIR` (default: lpctl in the user's cache)"},
			&cli.IntFlag{Name: "jobs", Usage: "run `N` compilers at once", DefaultText: "one for each processor"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the directory for the patches, `DIR`"},
			jsonFlag(), quietFlag(),
		}, allowedFlags(), aboutFlags()),
		Action: func(ctx context.Context, c *cli.Command) error { return accounting(buildPackage(ctx, c)) },
	}
}

// packageJSON is what build deb --json prints, for each image that the fix concerns.
type packageJSON struct {
	buildJSON
	Image    string   `json:"image"` // PACKAGE/PATH
	Names    []string `json:"names"` // all of that file's
	Verified string   `json:"verified"`
	Changed  []string `json:"changed"` // functions
	Fixes    []string `json:"fixes"`
	LeftOut  []string `json:"left_out"`
	// FixesRefused are those that were left out so that others can be built.
	FixesRefused []fixJSON `json:"fixes_refused"`
	Result       string    `json:"result"` // built, refused, nothing
	BuildS       float64   `json:"build_s"`
}

// fixJSON is a fix that was left out.
type fixJSON struct {
	Name string `json:"name"`
	Why  string `json:"message"`
}

func buildPackage(ctx context.Context, c *cli.Command) error {
	source, err := argument(c, "the source package, SOURCE,")
	if err != nil {
		return err
	}
	o, err := packageOptions(c, source)
	if err != nil {
		return err
	}
	if err := makeDir(c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := build.FromPackage(ctx, o)
	if errors.Is(err, build.ErrNothing) {
		return nothing(err)
	}
	if err != nil {
		return err
	}
	return writePackage(c, res)
}

// makeDir makes the directory that patches for several files are to go to.
func makeDir(c *cli.Command) error {
	out := c.String("output")
	st, err := os.Stat(out)
	switch {
	case out == "":
		return fmt.Errorf("-o is missing: the directory for the patches, of which there may be several; see %s --help", c.FullName())
	case err == nil && st.IsDir():
		return nil
	case err == nil || strings.HasSuffix(out, ".lp"):
		return fmt.Errorf("-o %s: there may be a patch for each of several files; name a directory, which is made if it is not there", out)
	}
	return os.MkdirAll(out, 0o755)
}

// buildSeveral makes a patch for each of several targets from one source.
func buildSeveral(ctx context.Context, c *cli.Command, targets []string) error {
	for _, name := range []string{"on", "symbols", "set"} {
		if c.IsSet(name) {
			return fmt.Errorf("--%s is about one --target; give one, or make each patch by itself", name)
		}
	}
	about, err := aboutOf(c, "")
	if err != nil {
		return err
	}
	if err := makeDir(c); err != nil {
		return err
	}
	base := filepath.Base(c.String("patch"))
	o := sourceOptions(c, strings.TrimSuffix(base, filepath.Ext(base)))
	o.About = about
	list, err := build.FromSourceEach(ctx, o, targets)
	if err != nil {
		return err
	}
	return writePackage(c, &build.PackageResult{Fixes: []string{base}, Images: list})
}

func packageOptions(c *cli.Command, source string) (build.PackageOptions, error) {
	o := build.PackageOptions{
		Source: source, From: c.String("from"), To: c.String("to"), Fixes: c.StringSlice("fix"), Patch: c.String("patch"),
		Suite: c.String("suite"), Mirror: c.String("mirror"), Snapshot: c.String("snapshot"), BuildInfo: c.String("buildinfo"), Work: c.String("work"), Jobs: c.Int("jobs"),
		Allowed: allowed(c), NotPartOf: c.StringSlice("not-part-of"), Tool: tool,
	}
	var err error
	if o.About, err = aboutOf(c, source); err != nil {
		return o, err
	}
	switch {
	case o.From == "":
		return o, errors.New("--from is missing: the version of the package that runs (dpkg -l shows it)")
	case (o.To == "") == (o.Patch == ""):
		return o, errors.New("give --to, the version that has the fix, or --patch, the fix; see lpctl build deb --help")
	case o.Patch != "" && len(o.Fixes) > 0:
		return o, errors.New("--fix chooses among the patches of --to; it does not go with --patch")
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	if o.Suite == "" {
		o.Suite = codename()
	}
	if o.Work == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return o, fmt.Errorf("%w; say with --work where to build", err)
		}
		o.Work = filepath.Join(dir, "lpctl")
	}
	o.Progress = reporter(c)
	return o, nil
}

// codename returns the name of this machine's release, or that of the one that this was made for.
func codename() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "bookworm"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return "bookworm"
}

// writePackage writes the patches, and says for each file of the package what came of it.
func writePackage(c *cli.Command, res *build.PackageResult) error {
	if len(res.LeftOut) > 0 {
		fmt.Fprintf(c.ErrWriter, "lpctl: warning: left out of the fix, by these rules: %s\n", leftOutFiles(res.LeftOut))
	}
	warn(c, res.Warnings)
	for _, f := range res.Refused {
		sayLines(c.ErrWriter, fmt.Sprintf("lpctl: without %s: %s", names.Visible(f.Name), f.Why))
	}
	counts := map[string]int{}
	for i := range res.Images {
		im := &res.Images[i]
		row := packageRow(im, res)
		counts[row.Result]++
		if im.Result != nil {
			row.File = filepath.Join(c.String("output"), im.Name+".lp")
			if err := atomicfile.WriteFile(row.File, im.Result.Data, 0o644); err != nil {
				return err
			}
		}
		if err := sayImage(c, im, row); err != nil {
			return err
		}
	}
	if counts["refused"] > 0 && len(res.Fixes) > 1 && len(res.Refused) == 0 {
		fmt.Fprintf(c.ErrWriter, "lpctl: these are several fixes; some may be possible without the others, with --fix NAME: %s\n",
			strings.Join(res.Fixes, " "))
	}
	counts["refused"] += len(res.Refused)
	switch {
	case counts["refused"] > 0 && counts["built"] > 0:
		return &exitError{status: exitSome, reported: true}
	case counts["refused"] > 0:
		return &exitError{status: exitRefused, reported: true}
	case counts["built"] == 0:
		return nothing(fmt.Errorf("%w in %s", build.ErrNothing, plural(len(res.Images), "file")))
	}
	return nil
}

// leftOutFiles lists files by the rules; of many the number will do.
func leftOutFiles(list []build.LeftOutFile) string {
	files := map[string][]string{}
	for _, l := range list {
		files[l.Rule] = append(files[l.Rule], l.Path)
	}
	var out []string
	for _, rule := range slices.Sorted(maps.Keys(files)) {
		text := strings.Join(files[rule], " ")
		if n := len(files[rule]); n > 8 {
			text = plural(n, "file") + " (--json names them)"
		}
		out = append(out, rule+": "+text)
	}
	return strings.Join(out, "; ")
}

func packageRow(im *build.ImageResult, res *build.PackageResult) packageJSON {
	row := packageJSON{
		buildJSON: buildJSON{Patch: im.Name, Added: []string{}, LeftOut: []patch.LeftOut{}, Imports: []string{}, Warnings: []string{}, Refusals: []refusalJSON{}},
		Image:     im.Paths[0], Names: im.Paths, Verified: im.Verified, Changed: []string{}, Fixes: res.Fixes, LeftOut: []string{}, FixesRefused: []fixJSON{},
		Result: "nothing", BuildS: res.OldSeconds + res.NewSeconds,
	}
	if im.Fixes != nil {
		row.Fixes = im.Fixes
	}
	for _, l := range res.LeftOut {
		row.LeftOut = append(row.LeftOut, l.Path+" ("+l.Rule+")")
	}
	for _, f := range res.Refused {
		row.FixesRefused = append(row.FixesRefused, fixJSON(f))
	}
	var refusals build.Refusals
	switch {
	case im.Result != nil:
		row.Result = "built"
		sum := sha256.Sum256(im.Result.Data)
		row.SHA256 = hex.EncodeToString(sum[:])
		row.Functions, row.Values = count(im.Result.Spec)
		row.Added = append(row.Added, im.Result.Added...)
		row.buildJSON.LeftOut = append(row.buildJSON.LeftOut, im.Result.LeftOut...)
		row.Imports = imports(im.Result.Spec)
		row.About = im.Result.Spec.About
		row.Warnings = append(row.Warnings, im.Result.Warnings...)
		for _, f := range im.Result.Spec.Functions {
			row.Changed = append(row.Changed, f.Symbol)
		}
	case errors.As(im.Err, &refusals):
		row.Result = "refused"
		row.Refusals = refusalsJSON(refusals)
	case im.Unproved != "":
		row.Warnings = append(row.Warnings, im.Unproved)
	}
	return row
}

// sayImage prints what came of one file; of those that the fix does not concern, only with --json.
func sayImage(c *cli.Command, im *build.ImageResult, row packageJSON) error {
	if c.Bool("json") {
		return printJSON(c.Writer, row)
	}
	var refusals build.Refusals
	if errors.As(im.Err, &refusals) {
		fmt.Fprintf(c.ErrWriter, "lpctl: %s:\n", row.Image)
		complainAll(c.ErrWriter, refusals)
	}
	if errors.Is(im.Err, build.ErrNothing) && c.IsSet("target") && !c.Bool("quiet") { // of a package most files are so
		sayLines(c.ErrWriter, fmt.Sprintf("lpctl: %s: %v", names.Visible(row.Image), im.Err))
	} else if im.Unproved != "" && !c.Bool("quiet") {
		warn(c, row.Warnings)
	}
	if im.Result == nil || c.Bool("quiet") {
		return nil
	}
	warn(c, row.Warnings)
	proof := ""
	if row.Verified != "" {
		proof = fmt.Sprintf(" (equal in the build made here: %s)", row.Verified)
	}
	return printLine(c.Writer, "built %s for %s: %s%s",
		row.File, strings.Join(row.Names, " = "), strings.Join(changes(row.Functions, row.Values), ", "), proof)
}
