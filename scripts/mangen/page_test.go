// SPDX-License-Identifier: GPL-2.0

package main

import (
	"strings"
	"testing"
)

const example = `% LPCTL 8 "2026-01-01" "lpatch" "System administration"

# NAME

lpctl - patch

# SYNOPSIS

**lpctl load** | **apply** *NAME.lp* *TARGETS*

**lpctl list** **all** | **some**

**lpctl boot add** *NAME.lp*

**lpctl boot apply** | **drop**

*TARGETS*: **--pid** *N*

# VERBS

**load**
:   Loads.

**apply**
:   Applies
    at once.

# OPTIONS

**--pid** *N*
:   The process.

**-o**, **--output** *FILE*
:   Where to.

    And more.

# OUTPUT

Lines.

## load, drop

Of load.

## apply, list

Of apply.

    {"json"}

# EXIT STATUS

Always 0.
`

const applyHelp = `NAME:
   lpctl apply - apply a patch

USAGE:
   lpctl apply [command options] NAME.lp

OPTIONS:
   --output FILE, -o FILE  the file - to make
   --pid N [ --pid N ]     the process
`

func TestVerbPage(t *testing.T) {
	got, err := parsePage(example).verbPage("apply", parseHelp(applyHelp))
	if err != nil {
		t.Fatal(err)
	}
	const want = `% LPCTL-APPLY 8 "2026-01-01" "lpatch" "System administration"

# NAME

lpctl-apply - apply a patch

# SYNOPSIS

**lpctl apply** *NAME.lp* *TARGETS*

*TARGETS*: **--pid** *N*

# DESCRIPTION

Applies
at once.

# OPTIONS

**--pid** *N*
:   The process.

**-o**, **--output** *FILE*
:   Where to.

    And more.

# OUTPUT

Lines.

Of apply.

    {"json"}

# EXIT STATUS

Always 0.

# SEE ALSO

**lpctl**(8), **lp**(5)
`
	if got != want {
		t.Fatalf("the page is\n%s\nwant\n%s", got, want)
	}
}

// TestSynopsisOfCommands: those of a verb's own commands are the verb's, whatever other verbs are called.
func TestSynopsisOfCommands(t *testing.T) {
	const want = "**lpctl boot add** *NAME.lp*\n\n**lpctl boot apply** | **drop**\n\n"
	if got := parsePage(example).synopsis("boot"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestVerbPageLacks: what lpctl has and its page has not is an error, so that no page is made without it.
func TestVerbPageLacks(t *testing.T) {
	p := parsePage(example)
	for verb, test := range map[string]struct{ help, want string }{
		"drop":  {applyHelp, "SYNOPSIS has no drop"},
		"list":  {applyHelp, "VERBS has no list"},
		"boot":  {applyHelp, "VERBS has no boot"},
		"apply": {applyHelp + "   --fast  be quick\n", "of apply: OPTIONS has no --fast"},
	} {
		if _, err := p.verbPage(verb, parseHelp(test.help)); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", verb, err, test.want)
		}
	}
}

// TestVerbPageLacksOutput: what a verb prints is said of each.
func TestVerbPageLacksOutput(t *testing.T) {
	p := parsePage(strings.Replace(example, "## apply, list", "## list", 1))
	if _, err := p.verbPage("apply", parseHelp(applyHelp)); err == nil || err.Error() != "OUTPUT has no apply" {
		t.Error(err)
	}
}

func TestCommands(t *testing.T) {
	got := commands("USAGE:\n   lpctl\n\nCOMMANDS:\n   load   load it\n   apply  apply\n          it\n\nGLOBAL OPTIONS:\n   --help  show help\n")
	if s := strings.Join(got, " "); s != "load apply" {
		t.Errorf("the verbs are %q, want load and apply", s)
	}
}
