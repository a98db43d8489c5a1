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

// kinds of tools by their names.
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

// notToTake are names under which drivers and linkers do something else.
var notToTake = lazyregexp.New(`(^|-)cpp(-[0-9.]+)?$|^(ld64\.lld|wasm-ld|lld-link)(-[0-9.]+)?$|^clang-(cpp|cl)(-[0-9.]+)?$`)

func kindByName(name string) toolKind {
	for _, k := range kindNames {
		if k.name().MatchString(name) {
			return k.kind
		}
	}
	return noTool
}

// signatures are found, both of them, in programs of a kind, and in none of others.
var signatures = []struct {
	kind  toolKind
	texts [2]string
}{
	{driver, [2]string{"%{!fsyntax-only:%{!c:", "COLLECT_GCC_OPTIONS"}},    // gcc, g++, gfortran and the like: the specs
	{driver, [2]string{"-cc1gen-reproducer", "unknown integrated tool"}},   // clang
	{assembler, [2]string{"GNU assembler version", "Assembler messages:"}}, // of binutils
}

// Programs that have such texts, but are not, or not always, of that kind.
const (
	lpctlText = shimOrigEnv             // lpctl itself, and copies of it
	manyText  = "llvm toolchain driver" // one file for all tools of LLVM
)

// toolFile is what a file tells of a program, whatever its name.
type toolFile struct {
	kind        toolKind
	lpctl, many bool
}

// readTool reads an ELF file, which may be of any size.
func readTool(path string) (toolFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return toolFile{}, err
	}
	defer func() { _ = f.Close() }()
	const step, most = 1 << 20, 64 // texts are shorter than most
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

// kindOfMany tells which tool a file is that has many: that of the name by which it is called.
func kindOfMany(args0 string) toolKind {
	name := filepath.Base(args0)
	if name == "llvm" {
		return manyTools
	}
	return kindByName(name)
}

// isInner tells calls that a compiler makes of itself, and those that only show what would be called: they make nothing of their own.
func isInner(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], "-cc1") || slices.Contains(args, "-###")
}

// cacheOff are the variables that have programs in front of a compiler call it here and now.
var cacheOff = map[string]string{"CCACHE_DISABLE": "1", "DISTCC_HOSTS": "localhost", "ICECC": "disable"}

// cacheEnv returns those that such a program is to get.
func cacheEnv(im *beginning) []string {
	var env []string
	for name, value := range cacheOff {
		if v := name + "=" + value; !im.envHas(v) {
			env = append(env, v) // it comes first, so it counts
		}
	}
	return env
}
