// SPDX-License-Identifier: GPL-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestCaseLog(t *testing.T) {
	var short, long caseLog
	fmt.Fprint(&short, "one\n", "two\n")
	if got := short.String(); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	for i := range 20000 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	got := long.String()
	if !strings.HasPrefix(got, "line 0\nline 1\n") || !strings.HasSuffix(got, "line 19998\nline 19999\n") {
		t.Errorf("the beginning or the end is missing: %.20q … %q", got, got[len(got)-20:])
	}
	if !strings.Contains(got, "bytes left out") || len(got) > 4*logPart {
		t.Errorf("%d bytes are kept", len(got))
	}
}

func TestMessage(t *testing.T) {
	got := message("4,1234,5678901,-;BUG: a;b\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n")
	if got != "BUG: a;b" {
		t.Errorf("got %q", got)
	}
}

func TestParseModule(t *testing.T) {
	start, size, err := parseModule("lpatch 430080 0 - Live 0xffffffffc0200000 (O)\n")
	if err != nil || start != 0xffffffffc0200000 || size != 430080 {
		t.Errorf("start %#x, size %d, %v", start, size, err)
	}
	if _, _, err := parseModule("lpatch\n"); err == nil {
		t.Error("a line without an address is taken")
	}
}
