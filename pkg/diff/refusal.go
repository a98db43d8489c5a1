// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"lpatch/pkg/codes"
)

// Refusal is one reason why a patch cannot be built: a sentence that names the file and the symbol and tells what to do.
type Refusal struct {
	Code   codes.Code
	File   string // object file or image
	Symbol string
	Text   string // the problem and its remedy
}

func (r Refusal) String() string {
	where := r.File
	if r.Symbol != "" {
		where += ": " + r.Symbol
	}
	return fmt.Sprintf("%s: %s [%s]", where, r.Text, r.Code)
}

// Refusals is a list of reasons. It implements error; the corresponding exit status is 2.
type Refusals []Refusal

func (r Refusals) Error() string {
	lines := make([]string, len(r))
	for i := range r {
		lines[i] = r[i].String()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the refusals sorted by file and symbol and without duplicates, so that output is deterministic.
func (r Refusals) Sorted() Refusals {
	seen := map[Refusal]bool{}
	out := Refusals{}
	for _, x := range r {
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].File != out[j].File {
			return out[i].File < out[j].File
		}
		return out[i].Symbol < out[j].Symbol
	})
	return out
}

// ErrNothing is returned if old and new do not differ in any code or data of the target. The corresponding exit status is 3.
var ErrNothing = errors.New("nothing to do: old and new do not differ")
