// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"testing"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/match"
)

// TestIsNotThere distinguishes code that does not exist from code that is ambiguous or cannot be located.
func TestIsNotThere(t *testing.T) {
	refusal := func(why ...codes.Code) error {
		var list diff.Refusals
		for _, c := range why {
			list = append(list, diff.Refusal{Code: c})
		}
		return list
	}
	for _, c := range []struct {
		err              error
		there, ambiguous bool
	}{
		{nil, true, false},
		{fmt.Errorf("a.o: %w", match.ErrNotLinked), false, false},
		{refusal("needs-symbols"), false, false},
		{refusal("needs-symbols", "target-differs"), false, false},
		{refusal("target-differs", "object-ambiguous"), true, true},
		{refusal("object-ambiguous"), true, true},
		{errors.New("it cannot be read"), true, false},
	} {
		if isNotThere(c.err) == c.there || isAmbiguous(c.err) != c.ambiguous {
			t.Errorf("%v: not there %v, ambiguous %v", c.err, isNotThere(c.err), isAmbiguous(c.err))
		}
	}
}
