// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/lazyregexp"
	symbols "lpatch/pkg/names"
)

// The environment of a build with shims. As with ccache, a directory of symbolic links with the names of compilers is first
// in PATH. All links lead to lpctl, which runs the real compiler with the flags that a patch requires.
const (
	shimEnv     = "LPATCH_SHIM"      // directory of the links; if it is set, lpctl acts as a compiler
	shimPathEnv = "LPATCH_SHIM_PATH" // PATH without this directory
	shimObjEnv  = "LPATCH_SHIM_OBJECTS"
	shimRootEnv = "LPATCH_SHIM_ROOT" // copy of the source tree
	shimOrigEnv = "LPATCH_SHIM_ORIGIN"
	// If shimTwiceEnv is set, the build gets its objects as it requests them, and those for the patch are compiled in
	// addition.
	shimTwiceEnv = "LPATCH_SHIM_TWICE"
)

// countFile is a file in the directory of objects that grows by one byte with each object.
const countFile = ".count"

// shims describes the environment of a build.
type shims struct {
	bin     string // directory of links
	objects string // directory of objects
	root    string // tree that is built
	origin  string // path of the tree to be recorded in the objects
	path    string // PATH without bin
	twice   bool
}

// makeShims creates links to self for those of the names that are compilers. self is a program that calls ShimMain.
func makeShims(bin, self string, names []string) error {
	for _, name := range []string{traceName, shimName} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if k := kindByName(name); k == noTool || k == cache || filepath.Base(name) != name {
			continue
		}
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for dir, name := range map[string]string{wrapperBin: ltoWrapper, splitBin: asName} {
		dir = filepath.Join(bin, dir)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(self, filepath.Join(dir, name))); err != nil {
			return err
		}
	}
	return nil
}

// namesIn lists the files in directories. Directories in PATH may not exist.
func namesIn(dirs []string) []string {
	var names []string
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	return names
}

// env returns the environment of a build for which only names in PATH are redirected.
func (s *shims) env() []string {
	path := s.bin + string(filepath.ListSeparator) + s.path
	return slices.Concat(s.variables(), s.rustEnv(false), []string{"PATH=" + path, shimEnv + "=" + s.bin, shimPathEnv + "=" + s.path})
}

// variables returns the variables that the shims use. ccache is disabled, because cached objects bypass the shims.
func (s *shims) variables() []string {
	env := []string{shimObjEnv + "=" + s.objects, shimRootEnv + "=" + s.root, shimOrigEnv + "=" + s.origin, "CCACHE_DISABLE=1"}
	if s.twice {
		env = append(env, shimTwiceEnv+"=1")
	}
	return env
}

var compilerName = lazyregexp.New(`^(x86_64-(pc-)?linux-gnu-)?(gcc|g\+\+|cc|c\+\+|c89|c99|clang|clang\+\+)(-[0-9.]+)?$`)

// IsShim reports whether this process was started as a tool of a build of FromSource, or to run such a build. argv0 is
// os.Args[0].
func IsShim(argv0 string) bool {
	name := filepath.Base(argv0)
	return name == traceName || name == shimName || os.Getenv(shimEnv) != "" && (kindByName(name) != noTool || name == ltoWrapper)
}

// ShimMain runs the real tool with args (os.Args) and records its output. It returns the exit status.
func ShimMain(args []string) int {
	status, err := shim(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "lpctl: as %s: %s\n", filepath.Base(args[0]), symbols.Visible(err.Error()))
		return 1
	}
	return status
}

// calledAs is argv[0] for the tool; "" means its path.
var calledAs string

func shim(args []string) (int, error) {
	switch filepath.Base(args[0]) {
	case traceName: // arguments: DIRECTORY COMMAND...
		return trace(args[1], args[2:])
	case shimName: // arguments: DIRECTORY KIND PATH, followed by those of the tool
		kind, err := strconv.Atoi(args[2])
		if err != nil {
			return 0, err
		}
		calledAs = args[4]
		return runTool(toolKind(kind), args[3], args[5:], takeVariables(args[1]))
	case ltoWrapper:
		return wrapLTO(args[1:])
	}
	if filepath.Base(args[0]) == asName && os.Getenv(splitEnv) != "" {
		return splitAssemble(args[1:])
	}
	name := filepath.Base(args[0])
	kind, find := kindByName(name), func() (string, error) { return realCompiler(name) }
	if kind == rustCompiler {
		find = realRustc
	}
	real, err := find()
	return runTool(kind, real, args[1:], errors.Join(err, os.Setenv("PATH", os.Getenv(shimPathEnv))))
}

func runTool(kind toolKind, real string, args []string, err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case kind == assembler:
		return assemble(real, args)
	case kind == linker:
		return linkDirectly(real, args)
	case kind == rewriter:
		return rewrite(real, args)
	case kind == rustCompiler:
		return shimRustc(real, args)
	}
	return drive(real, args)
}

// drive runs a compiler.
func drive(real string, args []string) (int, error) {
	step := parseStep(args)
	if isInner(step.all) {
		return run(real, args)
	}
	if err := step.checkPlace(); err != nil {
		return 0, err
	}
	if err := step.keepInput(); err != nil {
		return 0, err
	}
	twice := os.Getenv(shimTwiceEnv) != ""
	// options of the build come later and take precedence
	flags := append(append(prefixMap(), args...), step.ownFlags()...)
	switch {
	case step.noObject && !step.assembly:
		return run(real, args)
	case len(step.sources) == 0:
		return step.run(real, args)
	case step.assembly && !twice:
		return run(real, flags)
	case step.assembly:
		status, err := run(real, args)
		if err == nil && status == 0 {
			err = step.writeAssemblyAgain(real)
		}
		return status, err
	case twice:
		more, err := step.prepareSplit(real)
		if err != nil {
			return 0, err
		}
		status, err := step.run(real, append(more, args...))
		if err == nil && status == 0 && step.compile {
			_, err = step.compileAgain(real)
		}
		return status, err
	}
	status, err := step.run(real, flags)
	if err != nil || status != 0 || !step.compile {
		return status, err
	}
	for _, src := range step.sources {
		if err := record(step.objectOf(src)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// prefixMap returns options that make __FILE__ and debug information name the original if the tree is a copy.
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
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
			continue
		}
		// skip lpctl itself and copies of it, which would call each other in a loop
		if file, err := readTool(path); err != nil || !file.lpctl {
			return path, nil //nolint:nilerr // who cannot read it can run it
		}
	}
	return "", fmt.Errorf("no %s in PATH", name)
}

func run(path string, args []string) (int, error) {
	cmd := exec.Command(path, args...)
	if calledAs != "" {
		cmd.Args[0] = calledAs
	}
	stdin, err := openInput()
	if err != nil {
		return 0, err
	}
	if stdin != os.Stdin {
		defer func() { _ = stdin.Close() }()
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, os.Stdout, os.Stderr
	return exitStatus(cmd.Run())
}

// exitStatus separates a command that failed from one that could not be started.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// run runs the compiler. If it links, the link map is kept, because it lists the inputs.
func (s *step) run(real string, args []string) (int, error) {
	if s.compile || s.noObject || len(s.sources)+len(s.inputs) == 0 || s.isTrialLink() {
		return run(real, args)
	}
	// The linker writes the map that is requested last. The build gets a copy, because parallel links may write to the same
	// file.
	mapFile := filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".map-%d", os.Getpid()))
	defer func() { _ = os.Remove(mapFile) }()
	option := "-Wl,-Map=" + mapFile
	if s.direct {
		option = "-Map=" + mapFile
	}
	s.keepOverwritten()
	lto, err := s.keepLate(real)
	if err != nil {
		return 0, err
	}
	defer lto.remove()
	status, err := run(real, slices.Concat(args, lto.args, []string{option}))
	if err != nil || status != 0 {
		return status, err
	}
	text, err := os.ReadFile(mapFile)
	if err == nil {
		err = giveMap(mapOf(s.words), text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err := lto.find(s, real, string(text)); err != nil {
		return 0, err
	}
	own, err := s.compileAgain(real)
	if err == nil {
		err = s.recordRust()
	}
	if err != nil {
		return 0, err
	}
	return 0, s.recordLink(own, string(text), real, args, lto)
}

// isTrialLink reports whether this is a link with which configure, cmake or meson test the compiler.
func (s *step) isTrialLink() bool {
	abs, err := filepath.Abs(s.linkOutput())
	return err != nil || isTrial(abs) || len(s.sources) > 0 && !slices.ContainsFunc(s.sources, func(src string) bool { return !s.isTrial(src) })
}

// compileAgain makes additional objects for the patch: for a call that compiles and links, which leaves none behind, and if
// the build gets its own objects.
func (s *step) compileAgain(real string) ([]linkInput, error) {
	var own []linkInput
	if err := os.Unsetenv(splitEnv); err != nil {
		return nil, err
	}
	for _, src := range s.sources {
		if s.isTrial(src) {
			continue
		}
		in, err := s.compileOne(real, src)
		if err != nil {
			return nil, err
		}
		own = append(own, in)
		count()
	}
	return own, nil
}

// ownFlags returns the options for objects to be compared: a section for each function and variable, and complete debug
// information in the object itself, whatever the options of the build are. Assemblers get none.
func (s *step) ownFlags() []string {
	flags := []string{"-ffunction-sections", "-fdata-sections"}
	assembly := slices.ContainsFunc(s.sources, func(src string) bool { return slices.Contains([]string{".s", ".S", ".sx"}, filepath.Ext(src)) })
	if !assembly {
		flags = append(flags, "-g2", "-gno-split-dwarf", "-fno-debug-types-section", "-gz=none")
	}
	return flags
}

func (s *step) compileOne(real, src string) (linkInput, error) {
	name, err := s.ownObject(src)
	if err != nil {
		return linkInput{}, err
	}
	tmp := filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".again-%d.o", os.Getpid()))
	if !s.takeSplit(tmp) {
		args := append(prefixMap(), s.flags...)
		args = append(append(args, s.ownFlags()...), "-c", againFor(src), "-o", tmp)
		status, err := run(real, args)
		if err != nil || status != 0 {
			return linkInput{}, errors.Join(err, fmt.Errorf("%s compiles, but not once more with -c (status %d)", src, status))
		}
	}
	from := tmp // the object that the build got, or a substitute
	if s.compile {
		from = s.objectOf(src)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return linkInput{}, err
	}
	in := linkInput{Name: name, Sum: sumOf(data), LTO: holdsLTO(name, data)}
	return in, errors.Join(os.Rename(tmp, prepareRecord(name)), noteMade(in))
}

// ownObject returns the name under which the object of a source is recorded. It is unique if one call compiles and links,
// even if others have sources or outputs of the same name.
func (s *step) ownObject(src string) (string, error) {
	out := s.linkOutput()
	if s.compile {
		out = s.objectOf(src)
	}
	abs, err := filepath.Abs(out)
	if err != nil || s.compile {
		return recordName(abs), err
	}
	source, err := filepath.Abs(src)
	if err != nil {
		return "", err
	}
	return placeName(abs) + "-" + placeName(source) + ".o", nil
}

// isTrial reports whether configure, cmake or meson use a source to test the compiler. These are ignored.
func (s *step) isTrial(src string) bool {
	abs, err := filepath.Abs(src)
	return err != nil || isTrial(abs) || isTrial(s.objectOf(src))
}

// conftest matches configure's test files: conftest.c, conftest2.o.
var conftest = lazyregexp.New(`^conftest[0-9]*(\.|$)`)

func isTrial(path string) bool {
	return conftest().MatchString(filepath.Base(path)) || path == "/dev/null" ||
		strings.Contains(path, "/CMakeFiles/CMakeTmp/") || strings.Contains(path, "/CMakeFiles/CMakeScratch/") ||
		strings.Contains(path, "/CompilerId") || strings.Contains(path, "/meson-private/")
}

// count increments the number of objects for progress messages.
func count() {
	f, err := os.OpenFile(filepath.Join(os.Getenv(shimObjEnv), countFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString("o")
	f.Close()
}

// objectCount returns the number of objects that shims have recorded in a directory.
func objectCount(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, countFile))
	if err != nil {
		return 0
	}
	return st.Size()
}

// objectsMade formats this number for progress messages.
func objectsMade(dir string) string { return objectsOf(objectCount(dir), 0) }

// objectsOf formats the number of objects of a build and, if it is not 0, that of the preceding build.
func objectsOf(made, before int64) string {
	if before == 0 {
		return plural(int(made), "object")
	}
	return fmt.Sprintf("%d of %s", made, plural(int(before), "object"))
}

// record copies an object to the directory of objects, under its path. If a build makes the object again, the copy is
// replaced atomically.
func record(obj string) error {
	abs, err := filepath.Abs(obj)
	if err != nil || isTrial(abs) {
		return err
	}
	data, err := os.ReadFile(obj)
	if err != nil {
		return err
	}
	if ofOtherMachine(data) {
		return nil
	}
	return recordData(abs, data)
}

// recordData is like record, for content that is not at the path abs.
func recordData(abs string, data []byte) error {
	in := linkInput{Name: recordName(abs), Sum: sumOf(data)}
	dst := prepareRecord(in.Name)
	tmp := fmt.Sprintf("%s.%d", dst, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	count()
	return errors.Join(os.Rename(tmp, dst), noteMade(in))
}

// noteMade records the object that the build got, so that links of it are recognized: the last one per name, and all of them
// by content.
func noteMade(in linkInput) error {
	return errors.Join(writeRecord(madeDir, in.Name, in), writeRecord(everMadeDir, in.Name+"\n"+in.Sum, in), writeRecord(bySumDir, in.Sum, in))
}

// recordName returns the name of an object in the directory of objects.
func recordName(abs string) string {
	name := placeName(abs)
	if filepath.Ext(name) != ".o" {
		name += ".o"
	}
	return name
}

// outside is the prefix of names of files that are not in the tree.
const outside = "outside/"

// placeName returns a relative path for a file inside or outside of the tree.
func placeName(abs string) string {
	if rel := belowRoot(abs); !filepath.IsAbs(rel) {
		return rel
	}
	return outside + strings.TrimPrefix(abs, "/")
}

// prepareRecord returns the path for the copy of an object and creates its directory. A failure is reported when the path is
// used.
func prepareRecord(name string) string {
	dst := filepath.Join(os.Getenv(shimObjEnv), name)
	_ = os.MkdirAll(filepath.Dir(dst), 0o700)
	return dst
}
