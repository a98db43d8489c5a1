// SPDX-License-Identifier: GPL-2.0

package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"lpatch/pkg/doctor"
	"lpatch/pkg/patch"
)

// TestManPageJSON: the manual page has each field of what --json prints.
func TestManPageJSON(t *testing.T) {
	text, err := os.ReadFile("../../Documentation/man/lpctl.8.md")
	if err != nil {
		t.Fatal(err)
	}
	_, output, _ := strings.Cut(string(text), "\n# OUTPUT\n")
	output, _, _ = strings.Cut(output, "\n# ")
	for _, v := range []any{
		targetJSON{}, phasesJSON{}, errorJSON{}, mitigationJSON{}, eventJSON{}, buildJSON{}, refusalJSON{}, packageJSON{}, fixJSON{}, inspectJSON{}, segmentJSON{},
		bootJSON{}, syncJSON{}, bakeJSON{}, scanJSON{}, scanSummaryJSON{}, scanNumbers{}, upJSON{}, upEntryJSON{}, codeJSON{}, remedyJSON{}, drainJSON{}, doctor.Check{}, patch.About{},
	} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(output, `"`+name+`"`) && !strings.Contains(output, "*"+name+"*") {
				t.Errorf("no field %s of %v", name, typ)
			}
		}
	}
}

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
