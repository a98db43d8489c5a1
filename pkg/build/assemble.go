// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Not all objects are made by a compiler: `gcc -S` followed by `as`, assemblers, objcopy and strip produce some, too.

// asmDir is a subdirectory of the directory of objects. For each assembly file that the build had the compiler generate, it
// contains the variant compiled for the patch, under the SHA-256 of the build's file.
const asmDir = ".asm"

// bySumDir contains a linkInput for the SHA-256 of each object that was made: the name under which it was recorded.
const bySumDir = ".by-sum"

// writeAssemblyAgain runs the compiler again to generate the assembly for the patch, if the build gets its own.
func (s *step) writeAssemblyAgain(real string) error {
	for _, src := range s.sources {
		out := s.output
		if out == "" {
			out = strings.TrimSuffix(filepath.Base(src), filepath.Ext(src)) + ".s"
		}
		data, err := os.ReadFile(out)
		if s.isTrial(src) || out == "-" || err != nil {
			continue
		}
		tmp := prepareRecord(asmDir + "/" + sumOf(data) + ".s")
		args := append(append(prefixMap(), s.flags...), s.ownFlags()...)
		if status, err := run(real, append(args, "-S", src, "-o", tmp)); err != nil || status != 0 {
			return errors.Join(err, fmt.Errorf("%s compiles, but not once more with -S (status %d)", src, status))
		}
	}
	return nil
}

// againFor returns the file from which the object for the patch is made instead of from src.
func againFor(src string) string {
	if ext := filepath.Ext(src); ext != ".s" && ext != "" && ext != ".S" || os.Getenv(shimTwiceEnv) == "" {
		return src
	}
	data, err := readSource(src)
	if err != nil {
		return src
	}
	again := filepath.Join(os.Getenv(shimObjEnv), asmDir, sumOf(data)+".s")
	if _, err := os.Stat(again); err != nil {
		return src
	}
	return again
}

// asValues lists assembler options that take the next argument as value.
var asValues = map[string]bool{"-o": true, "-I": true, "--defsym": true, "-defsym": true, "--MD": true, "-MD": true, "--debug-prefix-map": true, "-f": true, "-l": true, "-i": true, "-p": true, "-F": true, "-MF": true, "-MT": true, "-MQ": true}

// parseAssembler parses the arguments of an assembler. The step has no source if the call only prints information.
func parseAssembler(args []string) step {
	s := step{compile: true, all: expand(args), output: "a.out"}
	for i := 0; i < len(s.all); i++ {
		a := s.all[i]
		switch {
		case asValues[a] && i+1 < len(s.all):
			i++
			if a == "-o" {
				s.output = s.all[i]
			}
		case strings.HasPrefix(a, "-o") && len(a) > 2:
			s.output = a[2:]
		case a == "--version" || a == "-version" || a == "--help" || a == "-v":
			s.sources = nil
			return s
		case a == "-" || a == "--" || !strings.HasPrefix(a, "-"):
			s.sources = append(s.sources, strings.Replace(a, "--", "-", 1))
		}
	}
	if len(s.sources) == 0 {
		s.sources = []string{"-"}
	}
	return s
}

// assemble runs an assembler and records the object.
func assemble(real string, args []string) (int, error) {
	s := parseAssembler(args)
	if len(s.sources) == 0 {
		return run(real, args)
	}
	if err := errors.Join(s.checkPlace(), s.keepInput()); err != nil {
		return 0, err
	}
	status, err := run(real, args)
	if err != nil || status != 0 {
		return status, err
	}
	if len(s.sources) == 1 {
		if again := againFor(s.sources[0]); again != s.sources[0] {
			return 0, s.assembleAgain(real, again)
		}
	}
	if data, err := os.ReadFile(s.output); err != nil || !isObject(data) {
		return 0, nil //nolint:nilerr // a test, or nasm with another format
	}
	return 0, record(s.output)
}

// assembleAgain makes the object for the patch from the file compiled for it.
func (s *step) assembleAgain(real, again string) error {
	data, err := os.ReadFile(s.output)
	if err != nil {
		return err
	}
	args := s.withInput(again)
	return recordMade(s.output, data, func(tmp string) error {
		status, err := run(real, append(args, "-o", tmp))
		if status != 0 {
			err = fmt.Errorf("%s is assembled, but not once more (status %d)", s.sources[0], status)
		}
		return err
	})
}

// withInput returns the arguments of an assembler with file as its source.
func (s *step) withInput(file string) []string {
	args := slices.Clone(s.all)
	for i, a := range args {
		if a == s.sources[0] && (i == 0 || !asValues[args[i-1]]) {
			args[i] = file
		}
	}
	if !slices.Contains(args, file) {
		args = append(args, file)
	}
	return args
}

// recordMade records an object for the patch instead of the one that the build made, whose content is data.
func recordMade(output string, data []byte, write func(tmp string) error) error {
	abs, err := filepath.Abs(output)
	if err != nil || isTrial(abs) {
		return err
	}
	in := linkInput{Name: recordName(abs), Sum: sumOf(data)}
	dst := prepareRecord(in.Name)
	tmp := filepath.Join(os.Getenv(shimObjEnv), fmt.Sprintf(".again-%d.o", os.Getpid()))
	if err := write(tmp); err != nil {
		return err
	}
	count()
	return errors.Join(os.Rename(tmp, dst), noteMade(in))
}

// ofOtherMachine reports whether an object is for another machine than the target.
func ofOtherMachine(data []byte) bool {
	const machine, x8664, i386 = 18, 62, 3
	return isELF(data) && len(data) > machine+1 && data[machine+1] == 0 && data[machine] != x8664 && data[machine] != i386
}
