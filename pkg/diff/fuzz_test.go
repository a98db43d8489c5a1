// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"bytes"
	"math"
	"testing"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/testutil/fuzztest"
)

// FuzzObject checks that a parsed object is indexed without a panic or rejected, that its references are within their
// sections, and that it does not differ from itself.
func FuzzObject(f *testing.F) {
	for _, data := range fuzztest.Objects(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := lpelf.Parse("fuzz.o", data)
		if err != nil {
			return
		}
		fuzztest.Bounded(t, len(data), func() {
			o, err := NewObject("fuzz.o", file)
			if (o == nil) == (err == nil) {
				t.Fatalf("object %v and error %v", o, err)
			}
			if err == nil {
				readObject(t, o)
			}
		})
	})
}

func readObject(t *testing.T, o *Object) {
	for _, s := range o.Functions() {
		if !s.IsFunc() || o.Lookup(s.Name) != s {
			t.Fatalf("function %+v is not found by its name", s)
		}
		ColdParent(s.Name)
	}
	for _, s := range o.Variables() {
		ByContent(s)
	}
	for _, s := range o.Sections {
		for _, sym := range o.SymbolsIn(s) {
			if o.SectionOf(sym) != s {
				t.Fatalf("symbol %+v is listed in section %s", sym, s.Name)
			}
		}
		for _, off := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
			o.At(s, off)
		}
		for _, r := range o.Refs(s) {
			if r.Off >= s.Size || r.End != 0 && (r.End <= r.Off || r.End > s.Size) {
				t.Fatalf("section %s of %d bytes: reference %+v", s.Name, s.Size, r)
			}
			if lit, ok := Literal(r); ok && (lit.Align == 0 || len(lit.Content) > len(r.Sec.Data)) {
				t.Fatalf("reference %+v: literal %+v", r, lit)
			}
		}
	}
}

// FuzzCompare checks that the comparison with an arbitrary object does not panic and terminates.
func FuzzCompare(f *testing.F) {
	objects := fuzztest.Objects(f)
	for _, old := range objects {
		for _, new := range objects {
			f.Add(old, new)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		old, new := parseObject(a), parseObject(b)
		if old == nil || new == nil {
			return
		}
		fuzztest.Bounded(t, len(a)+len(b), func() {
			result := Compare(old, new, Options{Data: true})
			for _, c := range result.Changed {
				if c.New == nil || !c.New.IsFunc() {
					t.Fatalf("changed: %+v", c)
				}
			}
			for _, v := range result.Values {
				if len(v.From) != len(v.To) || len(v.Linked) != len(v.To) || bytes.Equal(v.From, v.To) {
					t.Fatalf("value: %+v", v)
				}
			}
		})
	})
}

// parseObject returns nil for invalid objects.
func parseObject(data []byte) *Object {
	file, err := lpelf.Parse("fuzz.o", data)
	if err != nil {
		return nil
	}
	o, err := NewObject("fuzz.o", file)
	if err != nil {
		return nil
	}
	return o
}
