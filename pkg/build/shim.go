package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	// If it is set, the build gets its objects as it wants them, and those for the patch are compiled besides.
	shimTwiceEnv = "LPATCH_SHIM_TWICE"
)

// countFile is in the folder of the objects; it grows by a byte with each of them.
const countFile = ".count"

// shims is the environment of a build.
type shims struct {
	bin     string // the folder of links
	objects string // where the objects go
	root    string // the tree that is built
	origin  string // what the objects are to name it
	path    string // PATH without bin
	twice   bool
}

// makeShims links the name of every compiler in dirs to self, which is a program that calls ShimMain.
func makeShims(bin, self string, dirs []string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH may name folders that do not exist
		}
		for _, e := range entries {
			if !compilerName.MatchString(e.Name()) {
				continue
			}
			if err := os.Symlink(self, filepath.Join(bin, e.Name())); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// env returns the variables of the build. ccache is told to do nothing: what it has in store does not pass the shims.
func (s *shims) env() []string {
	env := []string{
		"PATH=" + s.bin + string(filepath.ListSeparator) + s.path, shimEnv + "=" + s.bin, shimPathEnv + "=" + s.path,
		shimObjEnv + "=" + s.objects, shimRootEnv + "=" + s.root, shimOrigEnv + "=" + s.origin, "CCACHE_DISABLE=1",
	}
	if s.twice {
		env = append(env, shimTwiceEnv+"=1")
	}
	return env
}

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
	switch {
	case step.noObject:
		return run(real, args[1:])
	case len(step.sources) == 0:
		return step.run(real, args[1:])
	case os.Getenv(shimTwiceEnv) != "":
		if status, err := step.run(real, args[1:]); err != nil || status != 0 {
			return status, err
		}
		return 0, step.compileAgain(real)
	}
	// What the build says itself comes later and wins.
	flags := append(prefixMap(), args[1:]...)
	flags = append(flags, "-ffunction-sections", "-fdata-sections")
	status, err := step.run(real, flags)
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

// prefixMap lets __FILE__ and the debug information name the original where the tree is a copy.
func prefixMap() []string {
	root, origin := os.Getenv(shimRootEnv), os.Getenv(shimOrigEnv)
	if root == origin {
		return nil
	}
	return []string{"-ffile-prefix-map=" + root + "=" + origin}
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
	inputs   []string // other files: objects, archives, libraries, "@file"
	mapFile  string   // of the linker, if the build wants one
	flags    []string // without output, inputs and what is for the linker
}

// valueFlags take the next argument.
var valueFlags = map[string]bool{
	"-I": true, "-D": true, "-U": true, "-include": true, "-imacros": true, "-isystem": true, "-iquote": true, "-idirafter": true,
	"-MF": true, "-MT": true, "-MQ": true, "-x": true, "-Xlinker": true, "-L": true, "-l": true, "-T": true, "-u": true, "-z": true,
	"-Xassembler": true, "-Xpreprocessor": true, "-Xclang": true, "--param": true, "-target": true, "-arch": true, "-aux-info": true,
}

// mapFlag is the option that has the linker write its map.
var mapFlag = regexp.MustCompile(`(?:^|,)-?-Map[=,]([^,]+)`)

func parseStep(args []string) step {
	var s step
	args = expand(args)
	language := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-x" && i+1 < len(args):
			i++
			language = args[i] != "none"
			s.keep(a, args[i])
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
			s.wantMap(args[i])
		case strings.HasPrefix(a, "-") && len(a) > 1:
			s.keep(a)
			s.wantMap(a)
		case isSource(a), language && !isObjectName(a):
			s.sources = append(s.sources, a)
		default:
			s.inputs = append(s.inputs, a)
		}
	}
	return s
}

// expand puts the words of "@file" in their place, as compilers do.
func expand(args []string) []string {
	var out []string
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			if text, err := os.ReadFile(name); err == nil {
				for _, word := range strings.Fields(string(text)) {
					out = append(out, strings.Trim(word, `"'`))
				}
				continue
			}
		}
		out = append(out, a)
	}
	return out
}

func (s *step) wantMap(arg string) {
	if m := mapFlag.FindStringSubmatch(arg); m != nil {
		s.mapFile = m[1]
	}
}

// run runs the compiler. If it links, the linker's map is kept: it tells what the output is made of.
func (s *step) run(real string, args []string) (int, error) {
	if s.compile || len(s.sources)+len(s.inputs) == 0 || s.isTrialLink() {
		return run(real, args)
	}
	mapFile := s.mapFile
	if mapFile == "" {
		mapFile = filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".map-%d", os.Getpid()))
		defer func() { _ = os.Remove(mapFile) }()
		args = append(slices.Clone(args), "-Wl,-Map="+mapFile)
	}
	status, err := run(real, args)
	if err != nil || status != 0 {
		return status, err
	}
	return 0, s.recordLink(args, mapFile)
}

// linkOutput is the file that a link makes.
func (s *step) linkOutput() string {
	if s.output != "" {
		return s.output
	}
	return "a.out"
}

// isTrialLink tells a link with which configure, cmake or meson try the compiler.
func (s *step) isTrialLink() bool {
	abs, err := filepath.Abs(s.linkOutput())
	return err != nil || isTrial(abs) || len(s.sources) > 0 && !slices.ContainsFunc(s.sources, func(src string) bool { return !s.isTrial(src) })
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
	case ".c", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".i", ".ii", ".S", ".s", ".sx":
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

// compileAgain makes objects beside those of the build: for a call that compiles and links at once, which leaves none
// behind, and where the build is to have its own.
func (s *step) compileAgain(real string) error {
	for _, src := range s.sources {
		if s.isTrial(src) {
			continue
		}
		obj := s.objectOf(src)
		if !s.compile {
			obj = ownObject(s.output, src)
		}
		abs, err := filepath.Abs(obj)
		if err != nil {
			return err
		}
		tmp := filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".again-%d.o", os.Getpid()))
		args := append(prefixMap(), s.flags...)
		status, err := run(real, append(args, "-ffunction-sections", "-fdata-sections", "-c", src, "-o", tmp))
		if err != nil || status != 0 {
			return errors.Join(err, fmt.Errorf("%s compiles, but not once more with -c (status %d)", src, status))
		}
		if err := os.Rename(tmp, prepareRecord(abs)); err != nil {
			return err
		}
		if data, err := os.ReadFile(obj); s.compile && err == nil {
			if err := noteMade(abs, data); err != nil {
				return err
			}
		}
		count()
	}
	return nil
}

// ownObject names the object of a source that is compiled and linked in one call.
func ownObject(output, src string) string {
	return filepath.Base(output) + "-" + strings.TrimSuffix(filepath.Base(src), filepath.Ext(src)) + ".o"
}

// isTrial tells a source with which configure, cmake or meson try the compiler. Those do not count.
func (s *step) isTrial(src string) bool {
	abs, err := filepath.Abs(src)
	return err != nil || isTrial(abs) || isTrial(s.objectOf(src))
}

func isTrial(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "conftest") || path == "/dev/null" ||
		strings.Contains(path, "/CMakeFiles/CMakeTmp/") || strings.Contains(path, "/CMakeFiles/CMakeScratch/") ||
		strings.Contains(path, "/CompilerId") || strings.Contains(path, "/meson-private/")
}

// count notes for those who watch that there is one more object.
func count() {
	f, err := os.OpenFile(filepath.Join(os.Getenv(shimObjEnv), countFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString("o")
	f.Close()
}

// objectCount returns how many objects shims have recorded in a directory.
func objectCount(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, countFile))
	if err != nil {
		return 0
	}
	return st.Size()
}

// objectsMade says that to people.
func objectsMade(dir string) string { return plural(int(objectCount(dir)), "object") }

// record keeps a copy of an object under its path, as the build makes it. A build may make one again, so a copy replaces an
// earlier one as a whole.
func record(obj string) error {
	abs, err := filepath.Abs(obj)
	if err != nil || isTrial(abs) {
		return err
	}
	data, err := os.ReadFile(obj)
	if err != nil {
		return err
	}
	dst := prepareRecord(abs)
	tmp := fmt.Sprintf("%s.%d", dst, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	count()
	return errors.Join(os.Rename(tmp, dst), noteMade(abs, data))
}

// noteMade notes what the build got for an object, so that links of it are known.
func noteMade(abs string, data []byte) error {
	name := recordName(abs)
	return writeRecord(madeDir, name, madeRecord{Object: name, Sum: sumOf(data)})
}

// recordName is the name of an object among the recorded ones.
func recordName(abs string) string {
	rel, err := filepath.Rel(os.Getenv(shimRootEnv), abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		rel = "outside" + abs
	}
	if filepath.Ext(rel) != ".o" {
		rel += ".o"
	}
	return strings.TrimPrefix(rel, "/")
}

// prepareRecord returns where the copy of an object goes, and makes its directory; a failure shows when it is used.
func prepareRecord(abs string) string {
	dst := filepath.Join(os.Getenv(shimObjEnv), recordName(abs))
	_ = os.MkdirAll(filepath.Dir(dst), 0o700)
	return dst
}
