package build

import (
	"bytes"
	"os"
	"regexp"
)

// kinds of tools by their names.
var kindNames = []struct {
	kind toolKind
	name *regexp.Regexp
}{
	{driver, compilerName},
	{assembler, regexp.MustCompile(`^(x86_64-[a-z0-9_-]*-)?(as|gas|nasm|yasm)(-[0-9.]+)?$`)},
	{linker, regexp.MustCompile(`^(x86_64-[a-z0-9_-]*-)?(ld|ld\.(bfd|gold|lld|mold)|rust-lld|gold|lld|mold|collect2)(-[0-9.]+)?$`)},
	{rewriter, regexp.MustCompile(`^(x86_64-[a-z0-9_-]*-|llvm-)?(objcopy|strip)(-[0-9.]+)?$`)},
	{rustCompiler, regexp.MustCompile(`^rustc$`)},
	{cache, regexp.MustCompile(`^(ccache|distcc|icecc)$`)},
}

// notToTake are names under which drivers and linkers do something else.
var notToTake = regexp.MustCompile(`(^|-)cpp(-[0-9.]+)?$|^(ld64\.lld|wasm-ld|lld-link)(-[0-9.]+)?$|^clang-(cpp|cl)(-[0-9.]+)?$`)

func kindByName(name string) toolKind {
	for _, k := range kindNames {
		if k.name.MatchString(name) {
			return k.kind
		}
	}
	return noTool
}

// signatures are found in programs of a kind, and in none of others.
var signatures = []struct {
	kind toolKind
	text string
}{
	{driver, "%{!fsyntax-only:%{!c:"},    // gcc, g++, gfortran and the like: the specs
	{driver, "-cc1gen-reproducer"},       // clang
	{assembler, "GNU assembler version"}, // of binutils
}

// kindByContent tells the kind of an ELF file under whatever name.
func kindByContent(path string) toolKind {
	f, err := os.Open(path)
	if err != nil {
		return noTool
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err != nil || st.Size() > 256<<20 {
		return noTool
	}
	data, err := os.ReadFile(path)
	if err != nil || !isELF(data) {
		return noTool
	}
	for _, s := range signatures {
		if bytes.Contains(data, []byte(s.text)) {
			return s.kind
		}
	}
	return noTool
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
