// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Shrink makes a pair smaller for as long as it is wrong.
func (p *Pair) Shrink(wrong func(*Pair) bool) *Pair {
	list := p.reductions()
	for i, failed := 0, 0; failed < len(list); i++ {
		q := list[i%len(list)]
		failed++
		if q.p.old.sound(q.p) && q.p.new.sound(q.p) && wrong(q) {
			p, list, failed = q, q.reductions(), 0
			i-- // what came behind is there now
		}
	}
	return p
}

func (p *Pair) clone() *Pair {
	q := *p.p
	q.old, q.new, q.hooks, q.entries = q.old.clone(), q.new.clone(), slices.Clone(q.hooks), slices.Clone(q.entries)
	return &Pair{&q, p.run}
}

// reductions are pairs with one change less, or with one function or statement less in both versions.
func (p *Pair) reductions() []*Pair {
	var out []*Pair
	for i, f := range p.p.new.functions {
		if o := p.p.old.find(f.name); o != nil {
			q := p.clone()
			back := *q.p.old.find(f.name)
			q.p.new.functions[i] = &back
			if back.params == f.params && !equal(o, f) {
				out = append(out, q)
			}
		}
	}
	for _, f := range p.p.old.functions {
		q := p.clone()
		if q.p.drop(f.name) {
			out = append(out, q)
		}
	}
	for _, f := range p.p.new.functions {
		for i, l := range f.lists() {
			for j := range *l {
				q := p.clone()
				q.p.dropStatement(f.name, i, j, (*l)[j].text)
				out = append(out, q)
			}
		}
	}
	return out
}

func equal(a, b *function) bool {
	var left, right strings.Builder
	p := &program{}
	side{p: p, v: &p.old}.body(&left, a)
	side{p: p, v: &p.old}.body(&right, b)
	return left.String() == right.String()
}

// drop removes a function that nobody calls.
func (p *program) drop(name string) bool {
	for _, v := range []*version{&p.old, &p.new} {
		if slices.ContainsFunc(v.functions, func(f *function) bool { return f.name != name && f.calls(name) }) {
			return false
		}
		v.functions = slices.DeleteFunc(v.functions, func(f *function) bool { return f.name == name })
	}
	is := func(s string) bool { return s == name }
	p.hooks, p.entries = slices.DeleteFunc(p.hooks, is), slices.DeleteFunc(p.entries, is)
	return len(p.hooks)+len(p.entries) > 0
}

// dropStatement removes a statement of the new version, and the same one of the old version.
func (p *program) dropStatement(name string, list, at int, text string) {
	l := p.new.find(name).lists()[list]
	*l = slices.Delete(*l, at, at+1)
	o := p.old.find(name)
	if o == nil || list >= len(o.lists()) {
		return
	}
	l = o.lists()[list]
	if i := slices.IndexFunc(*l, func(s *statement) bool { return s.text == text }); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

// Save writes the pair as a case of test/patches/programs.
func (p *Pair) Save(dir string) error {
	if _, _, err := p.Write(dir); err != nil {
		return err
	}
	wants, err := expect([]*Pair{p}, dir)
	if err != nil {
		return err
	}
	run := map[string]any{"cc": p.run.CC, "cflags": p.run.CFlags, "ldflags": p.run.LDFlags, "strip": p.run.Strip}
	if len(p.run.Options) > 0 {
		run["options"] = p.run.Options
	}
	c := map[string]any{"why": "found by make hunt", "runs": []any{run}}
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "case.json"), data, 0o644); err != nil {
		return err
	}
	for _, name := range []string{"oracle", "oracle.c"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "expect"), []byte(wants[0]), 0o644)
}
