package diff

import (
	"debug/elf"

	"lpatch/pkg/lpelf"
)

// compareVariables refuses what a patch of code cannot bring in: other contents, sizes or kinds of data that the program
// already has and has changed since.
func (c *comparer) compareVariables() {
	for _, n := range c.new.Variables() {
		if ByContent(n) {
			continue
		}
		o := c.res.OldOf[n]
		switch {
		case o == nil && n.Type == elf.STT_TLS:
			c.refuse(n.Name, "new-tls", "a new thread-local variable has no room in the threads that run; use ordinary storage")
		case o == nil:
		case (o.Type == elf.STT_TLS) != (n.Type == elf.STT_TLS):
			c.refuse(n.Name, "tls-changed", "the variable became thread-local or ceased to be; give it another name")
		case o.Size != n.Size:
			c.refuse(n.Name, "data-size-changed",
				"the variable has %d bytes in the program and %d in the new source; put the addition into a new variable", o.Size, n.Size)
		default:
			c.compareContent(o, n)
		}
	}
}

func (c *comparer) compareContent(o, n *lpelf.Symbol) {
	osec, nsec := c.old.SectionOf(o), c.new.SectionOf(n)
	if osec == nil || nsec == nil {
		if (osec == nil) != (nsec == nil) && (holdsData(osec, o) || holdsData(nsec, n)) {
			c.refuse(n.Name, "data-initialiser-changed", initialiserText)
		}
		return
	}
	const kind = elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_TLS
	if osec.Flags&kind != nsec.Flags&kind {
		c.refuse(n.Name, "data-section-changed", "the variable moved from section %s to %s (const or not); give it another name", osec.Name, nsec.Name)
		return
	}
	if !c.equalRange(osec, nsec, o.Value, n.Value, n.Size) {
		c.refuse(n.Name, "data-initialiser-changed", initialiserText)
	}
}

const initialiserText = "the initial value of a variable that the program already has differs; " +
	"set the value in code that runs after the patch, or give the variable another name"

func holdsData(s *lpelf.Section, sym *lpelf.Symbol) bool {
	if s == nil || s.Type == elf.SHT_NOBITS {
		return false
	}
	for _, b := range s.Data[min(sym.Value, uint64(len(s.Data))):min(sym.Value+sym.Size, uint64(len(s.Data)))] {
		if b != 0 {
			return true
		}
	}
	return len(s.Relocs) > 0
}

// constructorSections run before main: a program that runs has passed them.
var constructorSections = map[elf.SectionType]bool{
	elf.SHT_INIT_ARRAY: true, elf.SHT_FINI_ARRAY: true, elf.SHT_PREINIT_ARRAY: true,
}

// compareConstructors refuses changed lists of functions that run at start or exit.
func (c *comparer) compareConstructors() {
	collect := func(obj *Object) map[string]*lpelf.Section {
		m := map[string]*lpelf.Section{}
		for _, s := range obj.Sections {
			if constructorSections[s.Type] {
				m[s.Name] = s
			}
		}
		return m
	}
	olds, news := collect(c.old), collect(c.new)
	for name, n := range news {
		o := olds[name]
		if o == nil || o.Size != n.Size || !c.equalRange(o, n, 0, 0, n.Size) {
			c.refuse(name, "constructor-changed", "functions that run at start or exit were added or changed; the program has started already: do the work elsewhere")
		}
	}
	for name := range olds {
		if news[name] == nil {
			c.res.Warnings = append(c.res.Warnings, c.new.Name+": "+name+" is gone from the new object; the program keeps its old start and exit functions")
		}
	}
}
