// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// Where a build is to have its own objects, gcc is called once: a shim in the place of its assembler makes the build's object, and
// of the same assembly the one for the patch (splitSections).
const (
	splitEnv  = "LPATCH_SHIM_SPLIT" // the object for the patch; that it is set turns lpctl into this assembler
	splitReal = "LPATCH_SHIM_AS"    // the real one
	splitBin  = "split"             // below the directory of links
	asName    = "as"
)

// prepareSplit returns what gcc is to be told in front, or nothing where it must compile again.
func (s *step) prepareSplit(real string) ([]string, error) {
	if !s.compile || len(s.sources) != 1 || s.isTrial(s.sources[0]) || isClang(real) || wantsLTO(s.all) || !describesTypes(s.flags) {
		return nil, nil
	}
	if slices.Contains([]string{".s", ".S", ".sx"}, filepath.Ext(s.sources[0])) || slices.ContainsFunc(s.all, func(a string) bool { return strings.HasPrefix(a, "-B") || strings.HasPrefix(a, "-wrapper") }) {
		return nil, nil
	}
	out, err := exec.Command(real, "-print-prog-name="+asName).Output()
	if err != nil {
		return nil, nil //nolint:nilerr // it is no gcc
	}
	as, err := exec.LookPath(strings.TrimSpace(string(out)))
	if err != nil {
		return nil, nil //nolint:nilerr // the same
	}
	s.split = filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".split-%d.o", os.Getpid()))
	_ = os.Remove(s.split) // of an earlier process of this number
	if err := os.Setenv(splitReal, as); err != nil {
		return nil, err
	}
	return []string{"-B" + filepath.Join(os.Getenv(shimEnv), splitBin) + "/"}, os.Setenv(splitEnv, s.split)
}

var debugLevel = lazyregexp.New(`^-g(gdb|dwarf(-[0-9])?)?([0-3])?$`)

// describesTypes tells whether flags ask for debug information that does. The last word on it counts.
func describesTypes(flags []string) bool {
	level := 0
	for _, f := range flags {
		m := debugLevel().FindStringSubmatch(f)
		switch {
		case m == nil:
		case m[3] == "":
			level = max(level, 2)
		default:
			level, _ = strconv.Atoi(m[3])
		}
	}
	return level >= 2
}

// takeSplit has the object that was made of split sections, if there is one, at a path.
func (s *step) takeSplit(path string) bool {
	return s.split != "" && os.Rename(s.split, path) == nil
}

// splitAssemble runs the real assembler, and once more for the patch. If that fails, there is no such object.
func splitAssemble(args []string) (int, error) {
	s := parseAssembler(args)
	again, ok := asFlags(s.all)
	if len(s.sources) != 1 || !ok {
		return run(os.Getenv(splitReal), args) // it is compiled again
	}
	if err := s.keepInput(); err != nil {
		return 0, err
	}
	status, err := run(os.Getenv(splitReal), args)
	if err != nil || status != 0 {
		return status, err
	}
	text, err := readSource(s.sources[0])
	if err != nil {
		return 0, err
	}
	if text, err = splitSections(text); err != nil {
		return 0, nil // it is compiled again
	}
	object := os.Getenv(splitEnv)
	source := strings.TrimSuffix(object, ".o") + ".s"
	defer func() { _ = os.Remove(source) }()
	if err := os.WriteFile(source, text, 0o600); err != nil {
		return 0, err
	}
	if exec.Command(os.Getenv(splitReal), append(again, "-o", object, source)...).Run() != nil {
		_ = os.Remove(object)
	}
	return 0, nil
}

var (
	// asCode are options of an assembler that change what it makes, asBeside what it writes besides or packs it into.
	asCode   = lazyregexp.New(`^(--64|--(no)?execstack|--fatal-warnings|--(no-)?warn|-W|--gdwarf-[0-9]|-m[a-z].*|-O[012s]?|-I.+|--(debug-prefix-map|defsym)=.*)$`)
	asBeside = lazyregexp.New(`^(-a[a-z]*(=.*)?|--listing-[a-z0-9-]+=.*|--MD=.*|-o.+|--statistics|--(no)?compress-debug-sections(=.*)?)$`)
)

// asFlags are those of an assembler's arguments that are for its second run, which must write one object and nothing else. What
// another one may do is not known.
func asFlags(args []string) (again []string, ok bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := i+1 < len(args) && slices.Contains([]string{"-o", "--MD", "-I", "--debug-prefix-map", "--defsym"}, a)
		switch {
		case value && (a == "-o" || a == "--MD"):
			i++
		case value:
			again = append(again, a, args[i+1])
			i++
		case asCode().MatchString(a):
			again = append(again, a)
		case !asBeside().MatchString(a) && a != "-" && a != "--" && strings.HasPrefix(a, "-"):
			return nil, false
		}
	}
	return again, true
}
