// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestManPage checks that lp(5) documents all fields of the descriptor and the limits.
func TestManPage(t *testing.T) {
	text, err := os.ReadFile("../../Documentation/man/lp.5.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, part := range []struct {
		heading string
		value   any
	}{
		{"# DESCRIPTOR", Spec{}}, {"## About", About{}}, {"## Images", Image{}}, {"## Sites", Site{}},
		{"## Functions", Function{}}, {"## Functions", Range{}}, {"## Functions", Reliance{}}, {"## Fix-ups", Fixup{}}, {"## Mitigation", Mitigation{}},
	} {
		_, section, ok := strings.Cut(page, "\n"+part.heading+"\n")
		if !ok {
			t.Errorf("no section %s", part.heading)
		}
		section, _, _ = strings.Cut(section, "\n#")
		for f := range reflect.TypeOf(part.value).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !strings.Contains(section, "**"+name+"**") {
				t.Errorf("%s does not tell of %s", part.heading, name)
			}
		}
	}
	for _, limit := range []string{
		fmt.Sprintf("1 to %d letters", MaxNameLen), fmt.Sprintf("at most %d bytes", MaxDescription),
		fmt.Sprintf("of at most %d bytes", maxAboutText), fmt.Sprintf("at most %d ids of each kind", maxAboutList), string(severities[4]),
		fmt.Sprintf("1 to %d files", MaxImages), fmt.Sprintf("1 to %d places", MaxSites),
		fmt.Sprintf("At most %d addresses", MaxFixups), fmt.Sprintf("must be there, 1 to %d.", MaxSiteLen),
		fmt.Sprintf("**format**\n:   %d.", FormatVersion),
		string(SiteJump), string(SiteBytes), string(FixupAbs64), string(FixupAbs32), string(FixupPC32),
	} {
		if !strings.Contains(page, limit) {
			t.Errorf("it does not say %q", limit)
		}
	}
}
