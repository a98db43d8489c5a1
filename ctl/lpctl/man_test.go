// SPDX-License-Identifier: GPL-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// TestManPage: the manual page has every verb and every option that --help has.
func TestManPage(t *testing.T) {
	text, err := os.ReadFile("../../Documentation/man/lpctl.8.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if !strings.Contains(page, "*MESSAGE_ID* "+journalID) {
		t.Error("no MESSAGE_ID of the journal")
	}
	app := testApp(t)
	for _, c := range app.VisibleCommands() {
		if !strings.Contains(page, "\n**"+c.Name+"**\n:") {
			t.Errorf("no command %s", c.Name)
		}
		for _, sub := range leaves(c) {
			for _, name := range optionsOf(sub) {
				if !strings.Contains(page, "\n**--"+name+"**") && !strings.Contains(page, ", **--"+name+"**") {
					t.Errorf("no option --%s of %s", name, sub.FullName())
				}
			}
		}
	}
}
