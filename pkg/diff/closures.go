package diff

import (
	"regexp"

	"lpatch/pkg/lpelf"
)

// closureNumber is where the mangled name of a lambda expression, or of a function made for one, has its number: gcc
// counts within a function ("UlvE_", "UlvE0_", Itanium C++ ABI 5.1.8), clang, for those that no other file sees, within the
// file ("$_0").
var closureNumber = regexp.MustCompile(`(Ul.*?E)[0-9]*_|(\$_)[0-9]+`)

// closureKey is a name without that number; ok is false for other names.
func closureKey(name string) (key string, ok bool) {
	if !closureNumber.MatchString(name) {
		return "", false
	}
	return closureNumber.ReplaceAllString(name, "$1$2#"), true
}

// renumbered tells whether a name that both objects have means different lambda expressions in them: one was put before
// it, or taken away, and another of the same function has the code now, or had it before. A closure that the program keeps
// must not come to run the code of another.
func (c *comparer) renumbered(o, n *lpelf.Symbol) bool {
	key, ok := closureKey(n.Name)
	if !ok {
		return false
	}
	for _, s := range c.new.Functions() {
		if k, _ := closureKey(s.Name); k == key && s.Name != n.Name && !c.unchanged(s.Name) && c.equalFunc(o, s) {
			return true
		}
	}
	for _, s := range c.old.Functions() {
		if k, _ := closureKey(s.Name); k == key && s.Name != n.Name && !c.unchanged(s.Name) && c.equalFunc(s, n) {
			return true
		}
	}
	return c.count(c.old, key) != c.count(c.new, key)
}

// unchanged tells whether the function of that name is the same in both objects.
func (c *comparer) unchanged(name string) bool {
	o, n := c.old.Lookup(name), c.new.Lookup(name)
	return o != nil && n != nil && IsFunc(o) && IsFunc(n) && c.equalFunc(o, n)
}

func (c *comparer) count(obj *Object, key string) int {
	n := 0
	for _, s := range obj.Functions() {
		if k, _ := closureKey(s.Name); k == key {
			n++
		}
	}
	return n
}
