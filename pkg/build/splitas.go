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

// If a build gets its own objects, gcc is still called only once: a shim in place of its assembler makes the object for the
// build and, from the same assembly source, the one for the patch (splitSections).
const (
	splitEnv  = "LPATCH_SHIM_SPLIT" // path of the object for the patch; if it is set, lpctl acts as this assembler
	splitReal = "LPATCH_SHIM_AS"    // the real assembler
	splitBin  = "split"             // subdirectory of the directory of links
	asName    = "as"
)

// prepareSplit returns additional arguments for gcc, or none if the source has to be compiled again.
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
	_ = os.Remove(s.split) // left by an earlier process with this PID
	if err := os.Setenv(splitReal, as); err != nil {
		return nil, err
	}
	return []string{"-B" + filepath.Join(os.Getenv(shimEnv), splitBin) + "/"}, os.Setenv(splitEnv, s.split)
}

var debugLevel = lazyregexp.New(`^-g(gdb|dwarf(-[0-9])?)?([0-3])?$`)

// describesTypes reports whether flags request debug information with types. The last option counts.
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

// takeSplit moves the object made from split sections to path, if there is one.
func (s *step) takeSplit(path string) bool {
	return s.split != "" && os.Rename(s.split, path) == nil
}

// splitAssemble runs the real assembler, and again for the patch. If the second run fails, there is no such object.
func splitAssemble(args []string) (int, error) {
	s := parseAssembler(args)
	again, ok := asFlags(s.all)
	if len(s.sources) != 1 || !ok {
		return run(os.Getenv(splitReal), args) // the source is compiled again
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
		return 0, nil // the source is compiled again
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
	// asCode matches assembler options that influence the object; asBeside those that request further outputs or another
	// container
	asCode   = lazyregexp.New(`^(--64|--(no)?execstack|--fatal-warnings|--(no-)?warn|-W|--gdwarf-[0-9]|-m[a-z].*|-O[012s]?|-I.+|--(debug-prefix-map|defsym)=.*)$`)
	asBeside = lazyregexp.New(`^(-a[a-z]*(=.*)?|--listing-[a-z0-9-]+=.*|--MD=.*|-o.+|--statistics|--(no)?compress-debug-sections(=.*)?)$`)
)

// asFlags returns the arguments for the second run of the assembler, which must write one object and nothing else. ok is
// false if there is an unknown option.
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
