package build

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The environment of a build under shims, ccache's way: a folder of symbolic links with the names of compilers stands
// first in PATH, and all of them lead to lpctl, which runs the real compiler with the flags that a patch needs.
const (
	shimEnv     = "LPATCH_SHIM"      // the folder of the links; that it is set turns lpctl into a compiler
	shimPathEnv = "LPATCH_SHIM_PATH" // PATH without it
	shimObjEnv  = "LPATCH_SHIM_OBJECTS"
	shimRootEnv = "LPATCH_SHIM_ROOT" // the copy of the source tree
	shimOrigEnv = "LPATCH_SHIM_ORIGIN"
)

var compilerName = regexp.MustCompile(`^(x86_64-(pc-)?linux-gnu-)?(gcc|g\+\+|cc|c\+\+|c89|c99|clang|clang\+\+)(-[0-9.]+)?$`)

// IsShim tells whether this process was started as a compiler of a build that FromSource runs; argv0 is os.Args[0].
func IsShim(argv0 string) bool {
	return os.Getenv(shimEnv) != "" && compilerName.MatchString(filepath.Base(argv0))
}

// ShimMain runs the real compiler for args (os.Args) and records the objects that it makes. It returns the exit status.
func ShimMain(args []string) int {
	status, err := shim(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "lpctl: as %s: %v\n", filepath.Base(args[0]), err)
		return 1
	}
	return status
}

func shim(args []string) (int, error) {
	real, err := realCompiler(filepath.Base(args[0]))
	if err != nil {
		return 0, err
	}
	if err := os.Setenv("PATH", os.Getenv(shimPathEnv)); err != nil {
		return 0, err
	}
	step := parseStep(args[1:])
	if len(step.sources) == 0 || step.noObject {
		return run(real, args[1:])
	}
	// The tree is a copy: let __FILE__ and the debug information name the original. What the build says itself comes
	// later and wins.
	flags := []string{"-ffile-prefix-map=" + os.Getenv(shimRootEnv) + "=" + os.Getenv(shimOrigEnv)}
	flags = append(flags, args[1:]...)
	flags = append(flags, "-ffunction-sections", "-fdata-sections")
	status, err := run(real, flags)
	if err != nil || status != 0 {
		return status, err
	}
	if step.compile {
		for _, src := range step.sources {
			if err := record(step.objectOf(src)); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
	return 0, step.compileAgain(real)
}

func realCompiler(name string) (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv(shimPathEnv)) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s in PATH", name)
}

func run(path string, args []string) (int, error) {
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// step is what one call of the compiler does.
type step struct {
	compile  bool // -c
	noObject bool // stops before an object: -E, -S, -M, -fsyntax-only
	output   string
	sources  []string
	flags    []string // without output, inputs and what is for the linker
}

// valueFlags take the next argument.
var valueFlags = map[string]bool{
	"-I": true, "-D": true, "-U": true, "-include": true, "-imacros": true, "-isystem": true, "-iquote": true, "-idirafter": true,
	"-MF": true, "-MT": true, "-MQ": true, "-x": true, "-Xlinker": true, "-L": true, "-l": true, "-T": true, "-u": true, "-z": true,
	"-Xassembler": true, "-Xpreprocessor": true, "-Xclang": true, "--param": true, "-target": true, "-arch": true, "-aux-info": true,
}

func parseStep(args []string) step {
	var s step
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-c":
			s.compile = true
		case a == "-o" && i+1 < len(args):
			i++
			s.output = args[i]
		case strings.HasPrefix(a, "-o") && len(a) > 2:
			s.output = a[2:]
		case a == "-E" || a == "-S" || a == "-M" || a == "-MM" || a == "-fsyntax-only":
			s.noObject = true
		case valueFlags[a] && i+1 < len(args):
			s.keep(a, args[i+1])
			i++
		case strings.HasPrefix(a, "-") && len(a) > 1:
			s.keep(a)
		case isSource(a):
			s.sources = append(s.sources, a)
		}
	}
	return s
}

// keep notes flags for compiling once more, dependency files and linker flags left out.
func (s *step) keep(args ...string) {
	for _, p := range []string{"-l", "-L", "-Wl,", "-M", "-Xlinker", "-shared", "-static", "-pie", "-no-pie", "-rdynamic", "-T", "-u", "-z"} {
		if strings.HasPrefix(args[0], p) && !strings.HasPrefix(args[0], "-static-") {
			return
		}
	}
	s.flags = append(s.flags, args...)
}

func isSource(path string) bool {
	switch filepath.Ext(path) {
	case ".c", ".cc", ".cpp", ".cxx", ".C", ".i", ".ii", ".S", ".s":
		return true
	}
	return false
}

func (s *step) objectOf(src string) string {
	if s.output != "" {
		return s.output
	}
	base := filepath.Base(src)
	return strings.TrimSuffix(base, filepath.Ext(base)) + ".o"
}

// compileAgain makes the objects of a call that compiles and links at once, which leaves none behind.
func (s *step) compileAgain(real string) error {
	for _, src := range s.sources {
		if strings.HasPrefix(filepath.Base(src), "conftest") {
			return nil
		}
		obj, err := filepath.Abs(filepath.Base(s.output) + "-" + strings.TrimSuffix(filepath.Base(src), filepath.Ext(src)) + ".o")
		if err != nil {
			return err
		}
		tmp := filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".again-%d.o", os.Getpid()))
		args := append([]string{"-ffile-prefix-map=" + os.Getenv(shimRootEnv) + "=" + os.Getenv(shimOrigEnv)}, s.flags...)
		status, err := run(real, append(args, "-ffunction-sections", "-fdata-sections", "-c", src, "-o", tmp))
		if err != nil || status != 0 {
			return errors.Join(err, fmt.Errorf("%s compiles, but not with -c (status %d)", src, status))
		}
		if err := os.Rename(tmp, prepareRecord(obj)); err != nil {
			return err
		}
	}
	return nil
}

// record keeps a copy of an object under its path, as the build makes it. A copy replaces an earlier one as a whole,
// because the first build's records are hard links to it.
func record(obj string) error {
	if obj == "/dev/null" || strings.HasPrefix(filepath.Base(obj), "conftest") {
		return nil
	}
	data, err := os.ReadFile(obj)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(obj)
	if err != nil {
		return err
	}
	dst := prepareRecord(abs)
	tmp := fmt.Sprintf("%s.%d", dst, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, dst)
}

// prepareRecord returns where the copy of an object goes, and makes its folder; a failure shows when it is used.
func prepareRecord(abs string) string {
	rel, err := filepath.Rel(os.Getenv(shimRootEnv), abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		rel = "outside" + abs
	}
	if filepath.Ext(rel) != ".o" {
		rel += ".o"
	}
	dst := filepath.Join(os.Getenv(shimObjEnv), rel)
	_ = os.MkdirAll(filepath.Dir(dst), 0o700)
	return dst
}
