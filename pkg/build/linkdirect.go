// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"strings"
)

// ldValues lists linker options that take the next argument as value.
var ldValues = map[string]bool{
	"-o": true, "--output": true, "-T": true, "--script": true, "-L": true, "-l": true, "-m": true, "-z": true, "-h": true, "-soname": true, "--soname": true,
	"-rpath": true, "--rpath": true, "-rpath-link": true, "--rpath-link": true, "-e": true, "--entry": true, "-u": true, "--undefined": true, "-I": true,
	"-dynamic-linker": true, "--dynamic-linker": true, "--version-script": true, "-b": true, "--format": true, "-A": true, "-plugin": true, "--plugin": true,
	"-plugin-opt": true, "--plugin-opt": true, "--defsym": true, "-defsym": true, "--wrap": true, "-wrap": true, "-Map": true, "--Map": true, "-y": true,
	"--dynamic-list": true, "-init": true, "-fini": true, "-R": true, "--just-symbols": true, "-F": true, "--filter": true, "-f": true, "--auxiliary": true,
	"-a": true, "-G": true, "-c": true, "--mri-script": true, "-dT": true, "--retain-symbols-file": true, "--section-start": true, "-Ttext": true, "-Tdata": true,
	"-Tbss": true, "-Ttext-segment": true, "--exclude-libs": true, "--oformat": true, "--sort-section": true, "--dependency-file": true, "-assert": true,
}

// linkDirectly runs a linker that was called directly instead of by a compiler, and records its output.
func linkDirectly(real string, args []string) (int, error) {
	s := step{direct: true, all: expand(args)}
	for i := 0; i < len(s.all); i++ {
		a := s.all[i]
		name, value, assigned := strings.Cut(a, "=")
		switch {
		case (a == "-o" || a == "--output") && i+1 < len(s.all):
			i++
			s.output = s.all[i]
			continue
		case name == "--output" && assigned:
			s.output = value
		case ldValues[a] && i+1 < len(s.all):
			i++
			s.words = append(s.words, a, s.all[i])
			continue
		case strings.HasPrefix(a, "-o") && len(a) > 2 && a != "-omagic":
			s.output = a[2:]
		case a == "--version" || a == "--help" || a == "-V" || a == "--print-output-format":
			return run(real, args)
		case !strings.HasPrefix(a, "-"):
			s.inputs = append(s.inputs, a)
			continue
		}
		s.words = append(s.words, a)
	}
	if err := s.checkPlace(); err != nil {
		return 0, err
	}
	return s.run(real, args)
}

// keepOverwritten saves the previous content of the output of a link, because it may be one of the inputs.
func (s *step) keepOverwritten() {
	if head, err := firstBytes(s.linkOutput()); err != nil || !isObject(head) {
		return
	}
	if data, err := os.ReadFile(s.linkOutput()); err == nil {
		s.before = data
	}
}

// read reads an input of a completed link.
func (s *step) read(name string) ([]byte, error) {
	if s.before != nil {
		input, err := os.Stat(name)
		output, outErr := os.Stat(s.linkOutput())
		if err == nil && outErr == nil && os.SameFile(input, output) {
			return s.before, nil
		}
	}
	return os.ReadFile(name)
}
