// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpelf"
)

// TestThrows propagates exceptions through functions with call counters, which catch some of them and have cleanups.
func TestThrows(t *testing.T) {
	count := regexp.MustCompile(`hits [1-9][0-9]*\n`)
	for _, flags := range []string{"-g -O2", "-g -O0", "-g -Os -fno-pie -no-pie"} {
		prog := compile(t, "g++", flags, "throws.cc")
		_, want, _ := strings.Cut(run(t, prog), "after\n")
		for _, name := range []string{"thrower", "twice(int)", "catches", "cleans", "catches_first", "first"} {
			res, err := Make(Options{Target: prog, Function: name, Log: true, Name: "m", Tool: "t"})
			if err != nil {
				t.Errorf("%s: %v", flags, err)
				continue
			}
			got := mitigated(t, prog, res.Data)
			if diff := cmp.Diff(want, count.ReplaceAllString(got, "")); diff != "" || !count.MatchString(got) {
				t.Errorf("%s %s (-want +got):\n%s", flags, name, diff)
			}
		}
	}
}

// TestTypesOfTemplates checks the return types of template instances in symbols.
func TestTypesOfTemplates(t *testing.T) {
	prog := compile(t, "g++", "-O2", "throws.cc")
	f, err := lpelf.Open(prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ symbol, value, want string }{
		{"_Z7twofoldIiET_S0_", "7", ""},
		{"_Z7twofoldIdET_S0_", "7", "_Z7twofoldIdET_S0_: [returns-otherwise] its symbol says that it returns double, which is not passed as a number is; use --log or --trap"},
		{"_Z2atIiEPT_S1_", "0", ""},
		{"_Z4textIcENSt7__cxx1112basic_stringIT_St11char_traitsIS2_ESaIS2_EEES2_", "0", "[type-unknown] its symbol says that it returns " +
			"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >, and nothing tells what it returns; say --returns int|bool|pointer|void if you know"},
		{"_Z6memberI1SEMT_iS1_", "0", "_Z6memberI1SEMT_iS1_: [returns-otherwise] its symbol says that it returns a pointer to member, which is not passed as a number is; use --log or --trap"},
		{"_ZNK1S3getEv", "0", "_ZNK1S3getEv: [type-unknown] neither debug information nor its symbol tells what it returns; say --returns int|bool|pointer|void if you know"},
	} {
		if !strings.Contains(namesOf(f), "\n"+c.symbol+"\n") {
			t.Errorf("no %s", c.symbol)
			continue
		}
		_, err := Make(Options{Target: prog, Function: c.symbol, Return: c.value, Name: "m", Tool: "t"})
		if got := refusalOf(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.symbol, got, c.want)
		}
	}
}

func namesOf(f *lpelf.File) string {
	var all strings.Builder
	for _, s := range f.Symbols {
		all.WriteString("\n" + s.Name + "\n")
	}
	return all.String()
}
