// SPDX-License-Identifier: GPL-2.0

package build

import (
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// step describes a call of the compiler.
type step struct {
	compile  bool   // option -c
	noObject bool   // stops before an object is made: -E, -S, -M, -fsyntax-only
	assembly bool   // option -S
	direct   bool   // the linker is called directly
	before   []byte // previous content of an object that the link overwrites
	output   string
	sources  []string
	headers  []string
	inputs   []string // other files: objects, archives, libraries, "@file"
	flags    []string // without output, inputs and linker options
	all      []string // all arguments, with "@file" expanded
	split    string   // object made by way of prepareSplit
	words    []string // linker options, see linkerWords
}

// valueFlags lists options that take the next argument as value.
var valueFlags = map[string]bool{
	"-I": true, "-D": true, "-U": true, "-include": true, "-imacros": true, "-isystem": true, "-iquote": true, "-idirafter": true,
	"-MF": true, "-MT": true, "-MQ": true, "-x": true, "-Xlinker": true, "-L": true, "-l": true, "-T": true, "-u": true, "-z": true, "-e": true,
	"-Xassembler": true, "-Xpreprocessor": true, "-Xclang": true, "--param": true, "-target": true, "-arch": true, "-aux-info": true,
	"-B": true, "-specs": true, "-wrapper": true, "-dumpbase": true, "-dumpdir": true, "-dumpbase-ext": true, "-isysroot": true, "--sysroot": true,
	"-iprefix": true, "-iwithprefix": true, "-iwithprefixbefore": true, "-imultilib": true, "-mllvm": true, "-A": true, "-MJ": true,
}

func parseStep(args []string) step {
	args = expand(args)
	s := step{all: args, words: linkerWords(args)}
	language, header := false, false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-x" && i+1 < len(args):
			i++
			language = args[i] != "none"
			header = strings.HasSuffix(args[i], "-header")
			s.keep(a, args[i])
		case a == "-c":
			s.compile = true
		case a == "-o" && i+1 < len(args):
			i++
			s.output = args[i]
		case strings.HasPrefix(a, "-o") && len(a) > 2:
			s.output = a[2:]
		case a == "-S":
			s.noObject, s.assembly = true, true
		case a == "-E" || a == "-M" || a == "-MM" || a == "-fsyntax-only":
			s.noObject = true
		case valueFlags[a] && i+1 < len(args):
			s.keep(a, args[i+1])
			i++
		case strings.HasPrefix(a, "-") && len(a) > 1:
			s.keep(a)
		case isHeader().MatchString(a) && !language: // a header to be precompiled; with linker options it would be linked
			s.noObject = true
			s.headers = append(s.headers, a)
		case isSource(a), language && !isObjectName(a):
			s.sources = append(s.sources, a)
		default:
			s.inputs = append(s.inputs, a)
		}
	}
	s.noObject = s.noObject || header && !s.compile
	s.assembly = s.assembly && !slices.Contains(args, "-E") && !slices.Contains(args, "-fsyntax-only") && !header
	return s
}

// keep saves flags for another compilation, without those for dependency files and the linker.
func (s *step) keep(args ...string) {
	for _, p := range []string{"-l", "-L", "-Wl,", "-M", "-Xlinker", "-shared", "-static", "-pie", "-no-pie", "-rdynamic", "-T", "-u", "-z", "-e"} {
		if strings.HasPrefix(args[0], p) && !strings.HasPrefix(args[0], "-static-") {
			return
		}
	}
	s.flags = append(s.flags, args...)
}

var isHeader = lazyregexp.New(`\.(h|H|hh|hp|hxx|hpp|HPP|h\+\+|tcc)$`)

func isSource(path string) bool {
	switch filepath.Ext(path) {
	case ".c", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".i", ".ii", ".S", ".s", ".sx":
		return true
	}
	return false
}

// linkOutput returns the path of the output of a link.
func (s *step) linkOutput() string {
	if s.output != "" {
		return s.output
	}
	return "a.out"
}

func (s *step) objectOf(src string) string {
	if s.output != "" {
		return s.output
	}
	base := filepath.Base(src)
	return strings.TrimSuffix(base, filepath.Ext(base)) + ".o"
}
