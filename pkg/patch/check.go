// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"
	"unicode"

	"lpatch/pkg/arch"
)

const jumpLen = 5 // bytes of "jmp rel32"

// check validates the descriptor against the limits and against the file's segments.
func (f *File) check() error {
	s := f.Spec
	switch {
	case s.Format != FormatVersion:
		return fmt.Errorf("its format is %d, this lpctl reads %d; use the lpctl that built it", s.Format, FormatVersion)
	case len(s.Images) == 0 || len(s.Images) > MaxImages:
		return fmt.Errorf("it names %d images; 1 to %d are possible", len(s.Images), MaxImages)
	case len(s.Sites) == 0 || len(s.Sites) > MaxSites:
		return fmt.Errorf("it has %d sites; 1 to %d are possible", len(s.Sites), MaxSites)
	case len(s.Fixups) > MaxFixups:
		return fmt.Errorf("it has %d fix-ups; %d are possible", len(s.Fixups), MaxFixups)
	case len(s.Functions) > MaxSites:
		return fmt.Errorf("it has %d functions; %d are possible", len(s.Functions), MaxSites)
	}
	if err := CheckName(s.Name); err != nil {
		return err
	}
	if err := s.checkProse(); err != nil {
		return err
	}
	for i := range s.Images {
		if err := checkImage(&s.Images[i]); err != nil {
			return fmt.Errorf("image %d: %w", i, err)
		}
	}
	if err := f.checkSites(); err != nil {
		return err
	}
	if err := f.checkFunctions(); err != nil {
		return err
	}
	if err := f.checkRelies(); err != nil {
		return err
	}
	if err := f.checkUpon(); err != nil {
		return err
	}
	if pin := f.Spec.Pin; pin != 0 && (pin%8 != 0 || !f.inside(pin, 8, ProtRW)) {
		return fmt.Errorf("pin: %#x is no word of writable data", pin)
	}
	if err := f.checkMitigation(); err != nil {
		return fmt.Errorf("mitigation: %w", err)
	}
	return f.checkFixups()
}

// checkMitigation validates the descriptor of a mitigation. A mitigation redirects exactly one function, so a patch that
// replaces this function supersedes the mitigation completely.
func (f *File) checkMitigation() error {
	m, s := f.Spec.Mitigation, f.Spec
	switch {
	case m == nil:
		return nil
	case len(s.Sites) != 1 || len(s.Functions) != 1 || s.Sites[0].Kind != SiteJump || len(s.Upon) > 0:
		return fmt.Errorf("it has %d sites and %d functions; one of each is possible", len(s.Sites), len(s.Functions))
	case f.Span() != MitigationSpan:
		return fmt.Errorf("it has %d bytes in memory, not %d", f.Span(), MitigationSpan)
	case m.Hits%8 != 0 || !f.inside(m.Hits, 8, ProtRW):
		return fmt.Errorf("%#x is no word of writable data", m.Hits)
	case m.Action == "":
		return fmt.Errorf("it has no action")
	}
	return checkText("action", m.Action, MaxNameLen)
}

// checkProse validates the strings that are only shown to people. They must be printable, so that they cannot contain
// terminal control sequences.
func (s *Spec) checkProse() error {
	if err := checkText("tool", s.Tool, MaxNameLen); err != nil {
		return err
	}
	if len(s.Description) > MaxDescription {
		return fmt.Errorf("description is longer than %d bytes", MaxDescription)
	}
	for line := range strings.Lines(s.Description) {
		if err := checkText("description", strings.TrimSuffix(line, "\n"), MaxDescription); err != nil {
			return err
		}
	}
	if err := s.About.Check(); err != nil {
		return fmt.Errorf("about: %w", err)
	}
	for _, l := range s.LeftOut {
		if err := checkText("left_out", l.Object+": "+l.Why, MaxDescription); err != nil {
			return err
		}
	}
	return nil
}

// CheckName returns an error if name cannot be the name of a patch. Valid names are safe as a file name and in a table.
func CheckName(name string) error {
	if name == "" || len(name) > MaxNameLen || name[0] == '.' || name[0] == '-' {
		return fmt.Errorf("the name %.140q is not possible: 1 to %d letters, digits or any of . _ + - (not first . or -)", name, MaxNameLen)
	}
	for _, r := range name {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '+' && r != '-' {
			return fmt.Errorf("the name %.140q is not possible: letters, digits and . _ + - only", name)
		}
	}
	return nil
}

// checkText returns an error if s is longer than limit bytes or contains a character that is not printable. what names the
// field in the error.
func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s is longer than %d bytes", what, limit)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == 0xfffd {
			return fmt.Errorf("%s %q has a character that is not printable", what, s)
		}
	}
	return nil
}

func checkImage(im *Image) error {
	const maxName, maxID = 255, 64
	if err := checkText("name", im.Name, maxName); err != nil {
		return err
	}
	if err := checkText("soname", im.Soname, MaxNameLen); err != nil {
		return err
	}
	switch {
	case len(im.SHA256) != sha256.Size:
		return fmt.Errorf("its SHA-256 has %d bytes", len(im.SHA256))
	case len(im.BuildID) > maxID:
		return fmt.Errorf("its build-id has %d bytes; at most %d are possible", len(im.BuildID), maxID)
	case (im.TextOffset|im.TextVaddr|im.TextSize|im.SpanStart|im.SpanEnd)%arch.PageSize != 0:
		return fmt.Errorf("its addresses are not page aligned")
	case im.SpanStart >= im.SpanEnd || im.SpanEnd > 1<<47:
		return fmt.Errorf("its span %#x-%#x is not possible", im.SpanStart, im.SpanEnd)
	case im.TextSize == 0 || im.TextVaddr < im.SpanStart || im.TextVaddr > im.SpanEnd || im.TextSize > im.SpanEnd-im.TextVaddr:
		return fmt.Errorf("its text %#x+%#x is outside its span", im.TextVaddr, im.TextSize)
	}
	return nil
}

func (f *File) image(i int) (*Image, error) {
	if i < 0 || i >= len(f.Spec.Images) {
		return nil, fmt.Errorf("image %d does not exist", i)
	}
	return &f.Spec.Images[i], nil
}

func (f *File) checkSites() error {
	type span struct {
		image    int
		from, to uint64
	}
	var spans []span
	for i := range f.Spec.Sites {
		s := &f.Spec.Sites[i]
		if err := f.checkSite(s); err != nil {
			return fmt.Errorf("site %d: %w", i, err)
		}
		spans = append(spans, span{s.Image, s.Vaddr, s.Vaddr + uint64(len(s.Old))})
	}
	sort.Slice(spans, func(i, j int) bool {
		return spans[i].image < spans[j].image || spans[i].image == spans[j].image && spans[i].from < spans[j].from
	})
	for i := 1; i < len(spans); i++ {
		if spans[i].image == spans[i-1].image && spans[i].from < spans[i-1].to {
			return fmt.Errorf("two sites overlap at %#x", spans[i].from)
		}
	}
	return nil
}

func (f *File) checkSite(s *Site) error {
	im, err := f.image(s.Image)
	if err != nil {
		return err
	}
	if err := checkText("symbol", s.Symbol, MaxNameLen); err != nil {
		return err
	}
	n := uint64(len(s.Old))
	switch {
	case n == 0 || n > MaxSiteLen:
		return fmt.Errorf("%d bytes to overwrite; 1 to %d are possible", n, MaxSiteLen)
	case s.Vaddr < im.SpanStart || s.Vaddr >= im.SpanEnd || n > im.SpanEnd-s.Vaddr:
		return fmt.Errorf("address %#x is outside the image", s.Vaddr)
	}
	switch s.Kind {
	case SiteJump:
		if n != jumpLen || len(s.New) != 0 {
			return fmt.Errorf("a jump overwrites %d bytes and has none of its own", jumpLen)
		}
		if s.Vaddr < im.TextVaddr || s.Vaddr+n > im.TextVaddr+im.TextSize {
			return fmt.Errorf("address %#x is outside the image's text", s.Vaddr)
		}
		if !f.inside(s.Target, 1, ProtRX) {
			return fmt.Errorf("its target %#x is outside the patch's text", s.Target)
		}
	case SiteBytes:
		if len(s.New) != len(s.Old) || s.Target != 0 {
			return fmt.Errorf("%d bytes to overwrite and %d to write", n, len(s.New))
		}
	default:
		return fmt.Errorf("kind %.20q is not known", s.Kind)
	}
	return nil
}

// inside reports whether the n bytes at vaddr lie within one segment of protection prot; an empty prot matches any segment.
func (f *File) inside(vaddr, n uint64, prot Prot) bool {
	for _, s := range f.segments {
		if (prot == "" || s.Prot == prot) && vaddr >= s.Vaddr && vaddr-s.Vaddr < s.Size && n <= s.Size-(vaddr-s.Vaddr) {
			return true
		}
	}
	return false
}

func (f *File) checkFunctions() error {
	const maxBodies = 16
	for i := range f.Spec.Functions {
		fn := &f.Spec.Functions[i]
		im, err := f.image(fn.Image)
		if err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if err := checkText("symbol", fn.Symbol, MaxNameLen); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if err := checkText("why", fn.Why, MaxDescription); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if len(fn.Bodies) == 0 || len(fn.Bodies) > maxBodies {
			return fmt.Errorf("function %d: %d bodies", i, len(fn.Bodies))
		}
		for _, b := range fn.Bodies {
			if b.Start >= b.End || b.Start < im.SpanStart || b.End > im.SpanEnd {
				return fmt.Errorf("function %d: body %#x-%#x is outside the image", i, b.Start, b.End)
			}
		}
	}
	return nil
}

func (f *File) checkRelies() error {
	if n := len(f.Spec.Relies); n > MaxRelies {
		return fmt.Errorf("it relies on %d functions; %d are possible", n, MaxRelies)
	}
	for i, r := range f.Spec.Relies {
		im, err := f.image(r.Image)
		if err == nil {
			err = checkText("symbol", r.Symbol, MaxNameLen)
		}
		if err == nil && (r.Start < im.SpanStart || r.Start >= im.SpanEnd) {
			err = fmt.Errorf("its start %#x is outside the image", r.Start)
		}
		if err != nil {
			return fmt.Errorf("function %d that it relies on: %w", i, err)
		}
	}
	return nil
}

func (f *File) checkFixups() error {
	end := uint64(0)
	for i := range f.Spec.Fixups {
		x := &f.Spec.Fixups[i]
		size := uint64(4)
		switch x.Kind {
		case FixupAbs64:
			size = 8
		case FixupAbs32, FixupPC32:
		default:
			return fmt.Errorf("fix-up %d: kind %.20q is not known", i, x.Kind)
		}
		if x.Image != SelfImage {
			if _, err := f.image(x.Image); err != nil {
				return fmt.Errorf("fix-up %d: %w", i, err)
			}
		}
		if !f.inside(x.Place, size, "") {
			return fmt.Errorf("fix-up %d: place %#x is outside the patch", i, x.Place)
		}
		if x.Place < end {
			return fmt.Errorf("fix-up %d: place %#x is not behind the one before it", i, x.Place)
		}
		end = x.Place + size
	}
	return nil
}
