// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"lpatch/pkg/codes"
)

// Refusal is one reason why no patch can be built: a sentence that names the file and the symbol and says what to do.
type Refusal struct {
	Code   codes.Code
	File   string // object or image
	Symbol string
	Text   string // what is the matter, and what to do
}

func (r Refusal) String() string {
	where := r.File
	if r.Symbol != "" {
		where += ": " + r.Symbol
	}
	return fmt.Sprintf("%s: %s [%s]", where, r.Text, r.Code)
}

// Refusals are all reasons at once. It is an error; the exit status that belongs to it is 2.
type Refusals []Refusal

func (r Refusals) Error() string {
	lines := make([]string, len(r))
	for i := range r {
		lines[i] = r[i].String()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the refusals without repetition, by file and symbol, so that the same input gives the same message.
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

// ErrNothing means that old and new do not differ in anything that the target runs or has; the exit status that belongs to it is 3.
var ErrNothing = errors.New("nothing to do: old and new do not differ")
