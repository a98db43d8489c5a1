// SPDX-License-Identifier: GPL-2.0

package programs

import (
	"fmt"
	"regexp"
	"slices"
)

// AllCodes are the codes that any run of the case must be refused with.
func (c *Case) AllCodes() []string {
	all := slices.Clone(c.Codes)
	for _, r := range c.Runs {
		all = append(all, r.Codes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// saidCode is a code as lpctl says it.
var saidCode = regexp.MustCompile(`\[([a-z]+(?:-[a-z]+)*)\]`)

// checkCodes compares the codes of what lpctl said with those of the run, if it names any.
func (c *Case) checkCodes(r *Run, said string) error {
	want := c.Codes
	if r.Codes != nil {
		want = r.Codes
	}
	if len(want) == 0 {
		return nil
	}
	var got []string
	for _, m := range saidCode.FindAllStringSubmatch(said, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		return fmt.Errorf("refused with %q, and not with %q: %s", got, want, said)
	}
	return nil
}
