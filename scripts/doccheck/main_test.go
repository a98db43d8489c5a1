// SPDX-License-Identifier: GPL-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

// source is a small repository.
var source = map[string]string{
	"Makefile":               "check:\n\tscripts/check\ntest-debug: check\n",
	"MAINTAINERS":            "EVERYTHING\nF:\tkmod/\nF:\tgone/\n",
	"scripts/check":          "#!/bin/sh\nexec ld --emit-relocs --help\n",
	"kmod/gate.c":            "struct lp_gate {\n};\nvoid lpatch_gate_exit(void) { uprobe_mmap(); }\n",
	"kmod/gate.h":            "",
	"pkg/diff/data.go":       "package diff\n\ntype File struct{ Arch int }\n",
	"pkg/diff/data_test.go":  "package diff\n\nfunc TestData(t *testing.T) {}\nfunc TestHostileFork(t *testing.T) {}\n",
	"ctl/lpctl/cmd_ops.go":   "opCommand(lpnl.VerbApply, x)\n&cli.Command{Name: \"boot\"}\n&cli.Command{Name: \"build\"}\n&cli.BoolFlag{Name: \"max-stop\", Aliases: []string{\"m\"}}\n",
	"ctl/lpctl/cmd_boot.go":  `"add": {}, "list": {}`,
	"ctl/lpctl/testdata/x.c": "CONFIG_KPROBES\n",
	"Documentation/other.md": "# Other\n\n## The `second` part, with a comma\n",
}

// findings are those of a document beside the small repository, without where they are.
func findings(t *testing.T, text string) []string {
	t.Helper()
	files := map[string]string{"Documentation/text.md": text}
	for path, text := range source {
		files[path] = text
	}
	var list []string
	for _, f := range newTree(files).check() {
		if rest, ok := strings.CutPrefix(f, "Documentation/text.md:"); ok {
			_, rest, _ = strings.Cut(rest, ": ")
			list = append(list, rest)
		}
	}
	return list
}

func TestWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"see [other](gone.md)", "link (gone.md): there is no Documentation/gone.md"},
		{"see [other](other.md#third)", "link (other.md#third): Documentation/other.md has no such heading"},
		{"see [above](#above)", "link (#above): Documentation/text.md has no such heading"},
		{"see `other.md`, \"The third part\"", "link (other.md#the-third-part): Documentation/other.md has no such heading"},
		{"`kmod/window.c` has it", "`kmod/window.c`: there is no such file or directory"},
		{"`scripts/gone -x` does", "`scripts/gone -x`: there is no such file or directory"},
		{"`window.c`", "`window.c`: there is no file of this name"},
		{"`diff/rules.go`", "`diff/rules.go`: no path ends so"},
		{"`kmod/w*.c`", "`kmod/w*.c`: there is no such file or directory"},
		{"`lp_gone`", "`lp_gone`: the sources have no lp_gone"},
		{"`diff.File.Machine`", "`diff.File.Machine`: the sources have no Machine"},
		{"`lpatch_gone()`", "`lpatch_gone()`: there is no function of this name"},
		{"`struct lp_window`", "`struct lp_window`: there is no structure of this name"},
		{"TestGone tests it", "`TestGone`: there is no test of this name"},
		{"HostileGone", "`HostileGone`: there is no test of this name"},
		{"TestGone* test it", "`TestGone*`: there is no test of this name"},
		{"`make gone`", "`make gone`: the Makefile has no target gone"},
		{"`LPATCH_VM=6.1 make gone`", "`LPATCH_VM=6.1 make gone`: the Makefile has no target gone"},
		{"```\n$ make gone\n```", "`make gone`: the Makefile has no target gone"},
		{"```\nscripts/gone\n```", "`scripts/gone`: there is no such file or directory"},
		{"`lpctl gone fix.lp`", "`lpctl gone fix.lp`: lpctl has no command gone"},
		{"`lpctl boot gone`", "`lpctl boot gone`: lpctl boot has no command gone"},
		{"`lpctl build gone`", "`lpctl build gone`: lpctl build has no command gone"},
		{"`lpctl apply fix.lp --gone`", "`lpctl apply fix.lp --gone`: lpctl has no option --gone"},
		{"on 2026-11-30 it passed", "2026-11-30: what was found on a day is for Documentation/results"},
		{"`--gone`", "`--gone`: nothing has an option --gone"},
	} {
		if got := findings(t, c.text+"\n"); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%q: %q, and not %q", c.text, got, c.want)
		}
	}
}

func TestRight(t *testing.T) {
	const text = "# Text\n\n[other](other.md#the-second-part-with-a-comma), [root](../Makefile), [text](#text), [far](https://example.org/x)\n" +
		"`other.md`, \"The second part, with a comma\"\n" +
		"`kmod/gate.c` `kmod/` `gate.c` `diff/data.go` `kmod/gate.*` `pkg/diff/NAME` `build/lpctl` `/etc/gone.c` `debian/changelog`\n" +
		"`diff.File.Arch` `uprobe_mmap()` `lpatch_gate_exit()` `struct lp_gate` `KPROBES` `CONFIG_KPROBES`\n" +
		"TestData, TestHostile…, HostileFork, `TestData`\n" +
		"`make check && make install`, `KERNELS=6.12 make test-debug`, `make -C kmod KDIR=…`, `make`\n" +
		"`lpctl apply fix.lp --max-stop=2s`, `lpctl boot add NAME`, `lpctl VERB --help`, `lpctl build -- make --gone`, `--emit-relocs`, `-m`\n" +
		"```\nlpctl apply fix.lp   # --gone was an option\n2026-11-30 applied\n```\n"
	if got := findings(t, text); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestMaintainers(t *testing.T) {
	if got := newTree(source).check(); !slices.Equal(got, []string{"MAINTAINERS:3: there is no gone/"}) {
		t.Errorf("%q", got)
	}
}
