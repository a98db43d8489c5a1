// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// kindNames maps names of tools to their kinds.
var kindNames = []struct {
	kind toolKind
	name func() *regexp.Regexp
}{
	{driver, compilerName},
	{assembler, lazyregexp.New(`^(x86_64-[a-z0-9_-]*-)?(as|gas|nasm|yasm)(-[0-9.]+)?$`)},
	{linker, lazyregexp.New(`^(x86_64-[a-z0-9_-]*-)?(ld|ld\.(bfd|gold|lld|mold)|rust-lld|gold|lld|mold|collect2)(-[0-9.]+)?$`)},
	{rewriter, lazyregexp.New(`^(x86_64-[a-z0-9_-]*-|llvm-)?(objcopy|strip)(-[0-9.]+)?$`)},
	{rustCompiler, lazyregexp.New(`^rustc$`)},
	{cache, lazyregexp.New(`^(ccache|distcc|icecc)$`)},
}

// notToTake matches names of drivers and linkers with different behavior.
var notToTake = lazyregexp.New(`(^|-)cpp(-[0-9.]+)?$|^(ld64\.lld|wasm-ld|lld-link)(-[0-9.]+)?$|^clang-(cpp|cl)(-[0-9.]+)?$`)

func kindByName(name string) toolKind {
	for _, k := range kindNames {
		if k.name().MatchString(name) {
			return k.kind
		}
	}
	return noTool
}

// signatures lists pairs of strings that occur together only in programs of one kind.
var signatures = []struct {
	kind  toolKind
	texts [2]string
}{
	{driver, [2]string{"%{!fsyntax-only:%{!c:", "COLLECT_GCC_OPTIONS"}},    // gcc, g++, gfortran: the specs
	{driver, [2]string{"-cc1gen-reproducer", "unknown integrated tool"}},   // clang
	{assembler, [2]string{"GNU assembler version", "Assembler messages:"}}, // binutils
}

// Strings in programs that contain such signatures but are not always of that kind.
const (
	lpctlText = shimOrigEnv             // lpctl itself and its copies
	manyText  = "llvm toolchain driver" // one executable for all tools of LLVM
)

// toolFile describes a program by its content, independent of its name.
type toolFile struct {
	kind        toolKind
	lpctl, many bool
}

// readTool examines an ELF file, which may have any size.
func readTool(path string) (toolFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return toolFile{}, err
	}
	defer func() { _ = f.Close() }()
	const step, most = 1 << 20, 64 // the strings are shorter than most
	found := map[string]bool{}
	buf := make([]byte, 0, step+most)
	for first := true; ; first = false {
		n, err := io.ReadFull(f, buf[len(buf):len(buf)+step])
		buf = buf[:len(buf)+n]
		if first && !isELF(buf) {
			return toolFile{}, nil
		}
		for _, s := range signatures {
			for _, text := range s.texts {
				found[text] = found[text] || bytes.Contains(buf, []byte(text))
			}
		}
		for _, text := range []string{lpctlText, manyText} {
			found[text] = found[text] || bytes.Contains(buf, []byte(text))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return toolFile{}, err
		}
		buf = append(buf[:0], buf[len(buf)-most:]...)
	}
	c := toolFile{lpctl: found[lpctlText], many: found[manyText]}
	for _, s := range signatures {
		if c.kind == noTool && found[s.texts[0]] && found[s.texts[1]] {
			c.kind = s.kind
		}
	}
	return c, nil
}

// kindOfMany returns the kind of a multi-call binary, according to the name by which it is called.
func kindOfMany(args0 string) toolKind {
	name := filepath.Base(args0)
	if name == "llvm" {
		return manyTools
	}
	return kindByName(name)
}

// isInner reports whether a call is one that a compiler makes of itself, or only prints commands. Such calls create no output
// of their own.
func isInner(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], "-cc1") || slices.Contains(args, "-###")
}

// cacheOff lists variables that make compiler wrappers run the compiler immediately and locally.
var cacheOff = map[string]string{"CCACHE_DISABLE": "1", "DISTCC_HOSTS": "localhost", "ICECC": "disable"}

// cacheEnv returns the variables to add to the environment of such a wrapper.
func cacheEnv(im *beginning) []string {
	var env []string
	for name, value := range cacheOff {
		if v := name + "=" + value; !im.envHas(v) {
			env = append(env, v) // the first occurrence counts
		}
	}
	return env
}
