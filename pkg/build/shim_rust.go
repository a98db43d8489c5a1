// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// rustc also has a shim. It compiles a crate into several objects ("codegen units"), which are members of an archive (.rlib)
// or exist only until cc has linked them. They are compiled with the flags of the build; only debug information is added.
// rustc creates a section for each function and variable by default.

// shimRustcEnv is the rustc named by the environment of the build (RUSTC), if any.
const shimRustcEnv = "LPATCH_SHIM_RUSTC"

// shimRustLTOEnv marks a link for which rustc performs link-time optimisation over all crates.
const shimRustLTOEnv = "LPATCH_SHIM_RUST_LTO"

// rustLTO matches the rustc options for this. "thin-local" LTO is limited to one crate.
var rustLTO = lazyregexp.New(`(^| )(-C ?|--codegen[ =])lto(=(fat|thin|y|yes|on|true))?( |$)`)

// rustEnv returns variables that disable sccache, make cargo write below the tree, and make cargo call the shim even if
// rustup changes PATH, if only names in PATH are redirected. A build that gets its own objects gets no such variables.
func (s *shims) rustEnv(traced bool) []string {
	shim := filepath.Join(s.bin, "rustc")
	if _, err := os.Lstat(shim); err != nil || s.twice {
		return nil
	}
	env := []string{"RUSTC_WRAPPER=", "CARGO_BUILD_RUSTC_WRAPPER="}
	if !traced {
		env = append(env, "RUSTC="+shim, shimRustcEnv+"="+os.Getenv("RUSTC"))
	}
	if os.Getenv("CARGO_TARGET_DIR") != "" {
		env = append(env, "CARGO_TARGET_DIR="+filepath.Join(s.root, "target"))
	}
	return env
}

// shimRustc runs rustc with the shims in PATH, because rustc calls cc.
func shimRustc(real string, args []string) (int, error) {
	path := cmp.Or(os.Getenv(shimPathEnv), os.Getenv("PATH"))
	below := os.Getenv(shimEnv) + string(filepath.ListSeparator) + path
	if err := errors.Join(os.Setenv(shimPathEnv, path), os.Setenv("PATH", below)); err != nil {
		return 0, err
	}
	all := expand(args)
	if os.Getenv(shimTwiceEnv) != "" || !compilesRust(all) {
		return run(real, args)
	}
	step := step{sources: rustSources(all), all: all}
	if err := step.checkPlace(); err != nil {
		return 0, err
	}
	if rustLTO().MatchString(strings.Join(all, " ")) {
		if err := os.Setenv(shimRustLTOEnv, "1"); err != nil { // inherited by the link
			return 0, err
		}
	}
	own := append(throughShim(args), rustFlags(all)...)
	status, err := run(real, own)
	if err != nil || status != 0 {
		return status, err
	}
	return 0, recordRlibs(real, own, all)
}

func realRustc() (string, error) {
	given := os.Getenv(shimRustcEnv)
	switch {
	case given == "":
		return realCompiler("rustc")
	case strings.Contains(given, "/"):
		return given, nil
	}
	return realCompiler(given)
}

// compilesRust reports whether a call of rustc makes objects. cargo and build scripts also query information from it.
func compilesRust(args []string) bool {
	emit := ""
	for i, a := range args {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case a == "-" || a == "--print" || strings.HasPrefix(a, "--print=") || a == "-V" || a == "-vV" || a == "--version" || a == "-h" || a == "--help":
			return false
		case a == "--emit":
			emit = next
		case strings.HasPrefix(a, "--emit="):
			emit = a
		}
	}
	return len(rustSources(args)) > 0 && (emit == "" || strings.Contains(emit, "link") || strings.Contains(emit, "obj"))
}

func rustSources(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") || filepath.Ext(a) != ".rs" })
}

// rustFlags returns the additional flags, which come last and take precedence: debug information with types, in the objects.
// Paths in the code are those of the original tree.
func rustFlags(args []string) []string {
	flags := []string{"-Cdebuginfo=2"}
	if strings.Contains(strings.Join(args, " "), "split-debuginfo") {
		flags = append(flags, "-Csplit-debuginfo=off")
	}
	if root, origin := os.Getenv(shimRootEnv), os.Getenv(shimOrigEnv); root != origin {
		flags = append(flags, "--remap-path-prefix="+root+"="+origin)
	}
	return flags
}

// linkerFlag matches the option that selects the linker.
var linkerFlag = lazyregexp.New(`^((?:-C|--codegen=)?linker=)/.*/([^/]+)$`)

// throughShim replaces the path of a compiler that is used as linker by its name, so that the shim is called.
func throughShim(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		m := linkerFlag().FindStringSubmatch(a)
		if m == nil {
			continue
		}
		shim := filepath.Join(os.Getenv(shimEnv), m[2])
		if _, err := os.Lstat(shim); err == nil && compilerName().MatchString(m[2]) {
			out[i] = m[1] + shim
		}
	}
	return out
}

// recordRlibs records the objects in the archives that a call of rustc has made.
func recordRlibs(rustc string, args, all []string) error {
	cmd := exec.Command(rustc, append(slices.Clone(args), "--print=file-names")...)
	names, err := cmd.Output()
	if err != nil {
		return nil //nolint:nilerr // what no compiler is seen to make is refused where it is linked
	}
	dir := ""
	for i, a := range all {
		switch value, ok := strings.CutPrefix(a, "--out-dir="); {
		case ok:
			dir = value
		case a == "--out-dir" && i+1 < len(all):
			dir = all[i+1]
		case a == "-o" && i+1 < len(all):
			return recordRlib(all[i+1])
		}
	}
	for _, name := range strings.Fields(string(names)) {
		if err := recordRlib(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func recordRlib(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !lpelf.IsArchive(data) {
		return nil
	} else if err != nil {
		return err
	}
	members, err := lpelf.ParseArchive(path, data)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for _, m := range members {
		if rustObject().MatchString(m.Name) {
			if err := recordData(filepath.Join(filepath.Dir(abs), m.Name), m.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// rustObject matches the names of rustc's objects.
var rustObject = lazyregexp.New(`\.rcgu\.o$`)

// rustPassing matches the temporary directory that rustc creates for each link.
var rustPassing = lazyregexp.New(`(^|/|=)rustc[A-Za-z0-9]{6}(/|$)`)

func withoutRustPassing(name string) string {
	return rustPassing().ReplaceAllString(name, "${1}rustc$2")
}

// recordRust records the objects that rustc has made for this link alone. One of them refers to the exported symbols.
func (s *step) recordRust() error {
	out, err := filepath.Abs(s.linkOutput())
	if err != nil {
		return err
	}
	for _, name := range s.inputs {
		as, err := filepath.Abs(name)
		switch {
		case err != nil:
			return err
		case filepath.Base(name) == "symbols.o" && rustPassing().MatchString(name):
			as = out + ".symbols.o"
		case !rustObject().MatchString(name):
			continue
		}
		data, err := os.ReadFile(name)
		if err == nil {
			err = recordData(as, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ofCargo matches the name under which cargo links a program before it renames it.
var ofCargo = lazyregexp.New(`^([A-Za-z0-9_]+)-[0-9a-f]{16}$`)

// withoutCargo returns the name of a program for comparison. Crate names contain no "-".
func withoutCargo(name string) string {
	if m := ofCargo().FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	return strings.ReplaceAll(name, "-", "_")
}
