// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/closedworld"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// Linked images are compared as well (pkg/closedworld). For this purpose each link is repeated with the same command, the
// same output name, and --emit-relocs. The build still gets the output of the unmodified link.

// imagesDir is a subdirectory of the directory of objects that contains the images of the repeated links and their link maps.
const imagesDir = ".images"

// keptImage is the result of a repeated link.
type keptImage struct {
	File string `json:"file,omitempty"` // relative to the directory of objects
	Why  string `json:"why,omitempty"`  // reason why there is no file
}

// imageOf repeats a link whose output was f, with SHA-256 sum.
func (s *step) imageOf(real string, args []string, f *lpelf.File, sum string, lto bool) keptImage {
	k := keptImage{}
	switch {
	case lto:
		k.Why = "it is linked with link-time optimisation, which gives static functions and variables other names"
	case f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN:
		k.Why = "it is " + f.Kind()
	case slices.Contains(s.all, "-"):
		k.Why = "its source came from standard input"
	}
	if k.Why != "" {
		return k
	}
	out := s.linkOutput()
	k.File = filepath.Join(imagesDir, sumOf([]byte(out + "\n" + sum))[:16])
	image := prepareRecord(k.File)
	aside := fmt.Sprintf("%s.lpctl-%d", out, os.Getpid())
	if err := os.Rename(out, aside); err != nil {
		return keptImage{Why: err.Error()}
	}
	err := s.linkWithRelocs(real, args, f, image)
	if back := os.Rename(aside, out); back != nil {
		return keptImage{Why: back.Error()}
	}
	if err != nil {
		_ = os.Remove(image)
		return keptImage{Why: err.Error()}
	}
	return k
}

// linkWithRelocs repeats a link whose output was f, with --emit-relocs, and moves the output to image.
func (s *step) linkWithRelocs(real string, args []string, f *lpelf.File, image string) error {
	more := []string{"--emit-relocs", "-S", "-Map=" + image + ".map"}
	for i := range more {
		if !s.direct {
			more[i] = "-Wl," + more[i]
		}
	}
	text, err := exec.Command(real, append(withoutStripping(args), more...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the linker does not link it with --emit-relocs: %w: %s", err, firstLine(text))
	}
	if err := moveFile(s.linkOutput(), image); err != nil {
		return err
	}
	return checkSameLink(f, image)
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}

// moveFile moves a file, if necessary to another file system.
func moveFile(from, to string) error {
	if os.Rename(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, data, 0o600), os.Remove(from))
}

// withoutStripping removes the arguments of a link that make the linker omit symbols.
func withoutStripping(args []string) []string {
	var out []string
	strips := func(word string) bool {
		switch strings.TrimLeft(word, "-") {
		case "s", "strip-all", "x", "discard-all", "X", "discard-locals":
			return strings.HasPrefix(word, "-")
		}
		return false
	}
	for i, a := range args {
		switch list, ok := strings.CutPrefix(a, "-Wl,"); {
		case a == "-s" || a == "-Xlinker" && i+1 < len(args) && strips(args[i+1]) || i > 0 && args[i-1] == "-Xlinker" && strips(a):
		case ok:
			words := slices.DeleteFunc(strings.Split(list, ","), strips)
			if len(words) > 0 {
				out = append(out, "-Wl,"+strings.Join(words, ","))
			}
		default:
			out = append(out, a)
		}
	}
	return out
}

// imagePair is a pair of links of one output, from the old and from the new source.
type imagePair struct {
	output   string
	link     string // SHA-256 of the output of the new link
	old, new keptImage
	oldDir   string
	newDir   string
	same     bool // what is loaded is the same, byte for byte
}

// images returns the links of a target in both builds. Links that produced exactly the target take precedence, unless only
// one of the builds has any: package builds may link a library again when they install it.
func (l *Links) images(target identity) []imagePair {
	olds := slices.DeleteFunc(slices.Clone(l.old.records), func(r linkRecord) bool { return !r.Identity.same(target) })
	exact := slices.DeleteFunc(slices.Clone(olds), func(r linkRecord) bool { return target.BuildID == "" || r.Identity.BuildID != target.BuildID })
	if pairs := l.pairs(exact); len(pairs) > 0 {
		return pairs
	}
	return l.pairs(olds)
}

// pairs combines old links with the new links of the same outputs.
func (l *Links) pairs(olds []linkRecord) []imagePair {
	var out []imagePair
	for _, o := range olds {
		for _, n := range l.new.records {
			if n.Output == o.Output {
				out = append(out, imagePair{o.Output, n.Sum, o.Image, n.Image, l.old.dir, l.new.dir, o.Loaded == n.Loaded})
			}
		}
	}
	return out
}

// compareImages refuses what the linked images differ in and the patch does not have. Where there are none, the result says so, and
// that there is nothing to do takes another proof.
func (b *builder) compareImages(content *patch.Content, nothing bool) error {
	if b.o.Links == nil {
		return nil
	}
	if len(b.images) == 0 {
		b.notCompared = "no link of both builds is known to make it"
	}
	carried := b.carried(content)
	best, whys := map[string]*closedworld.Report{}, map[string]string{}
	for _, p := range b.images {
		r, why, err := p.compare(carried)
		switch {
		case err != nil:
			return err
		case why != "":
			whys[p.link] = why
		case best[p.link] == nil || len(r.Findings) < len(best[p.link].Findings):
			best[p.link] = r
		}
	}
	// a build may link an output several times, for instance for installation; each of these links needs a counterpart in the
	// old build
	for link, why := range whys {
		if best[link] == nil {
			b.notCompared = why
		}
	}
	for _, link := range slices.Sorted(maps.Keys(best)) {
		b.refuseFindings(best[link].Findings)
		for _, name := range best[link].Exports {
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: with the fix %s exports it, and a patched process does not: what is loaded into that later, such as a plugin, does not find it", name, b.im.Path))
		}
	}
	if nothing {
		b.proveNothing()
		return nil
	}
	b.warnBeside()
	if b.notCompared != "" {
		b.res.Warnings = append(b.res.Warnings, notComparedText(b.im.Path, b.notCompared))
	}
	return nil
}

// proveNothing refuses a target of which no object differs and of which the linked images were not compared, if they are not the
// same byte for byte. Where no link is known, there is nothing to prove it by.
func (b *builder) proveNothing() {
	if b.notCompared == "" || len(b.images) == 0 {
		return
	}
	same := map[string]bool{}
	for _, p := range b.images {
		same[p.link] = same[p.link] || p.same
	}
	if !slices.Contains(slices.Collect(maps.Values(same)), false) {
		b.notCompared = ""
		return
	}
	b.refusals = append(b.refusals, diff.Refusal{Code: codes.Unexplained, File: b.im.Path, Text: fmt.Sprintf(
		"no object differs in what counts, but what the build links of them does with the fix, and it is not known how: the linked images were not compared (%s); restart the program, or build it so that they can be",
		b.notCompared)})
}

func notComparedText(file, why string) string {
	return fmt.Sprintf("%s: the linked images were not compared (%s), only objects were", file, why)
}

// compare compares a pair of images, or returns the reason why it cannot.
func (p imagePair) compare(carried closedworld.Carried) (r *closedworld.Report, why string, err error) {
	if why := cmp.Or(p.old.Why, p.new.Why); why != "" {
		return nil, why, nil
	}
	if p.old.File == "" || p.new.File == "" {
		return nil, "it was built by an lpctl that kept none", nil
	}
	old, err := readImage(p.oldDir, p.old)
	if err != nil {
		return nil, "", err
	}
	new, err := readImage(p.newDir, p.new)
	if err != nil {
		return nil, "", err
	}
	if old == nil || new == nil {
		return nil, closedworld.ErrNoRelocs.Error(), nil
	}
	return closedworld.Compare(old, new, carried), "", nil
}

// readImage reads an image. It returns nil for an image without relocations.
func readImage(dir string, k keptImage) (*closedworld.Image, error) {
	path := filepath.Join(dir, k.File)
	f, err := lpelf.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path + ".map")
	if err != nil {
		return nil, err
	}
	im, err := closedworld.Read(f, string(text))
	if errors.Is(err, closedworld.ErrNoRelocs) {
		return nil, nil
	}
	return im, err
}

// carried describes the content of the patch: changed and added functions, and variables that are new or get a new value.
func (b *builder) carried(content *patch.Content) closedworld.Carried {
	type key struct{ name, file string }
	has := map[key]bool{}
	add := func(obj *diff.Object, s *lpelf.Symbol) {
		k := key{name: s.Name}
		if s.Bind == elf.STB_LOCAL {
			k.file = obj.Source
		}
		has[k] = true
	}
	in := map[string]bool{}
	if content != nil {
		for _, s := range content.Symbols {
			in[s.Name] = true
		}
	}
	for _, input := range b.inputs {
		d := input.Diff
		for _, c := range d.Changed {
			if in[c.New.Name] {
				add(d.Old, c.Old)
				add(d.New, c.New)
			}
		}
		for _, v := range d.Values {
			add(d.New, v.New)
		}
		for _, s := range d.New.Symbols {
			if in[s.Name] && s.Defined() && d.OldOf[s] == nil && (!s.IsFunc() || d.Old.Lookup(s.Name) == nil) {
				add(d.New, s)
			}
		}
	}
	return closedworld.Carried{Start: b.o.StartCodeOK, Has: func(name, file string) bool { return has[key{name, file}] }}
}

// maxFindings is the maximum number of differences that are reported individually.
const maxFindings = 8

func (b *builder) refuseFindings(list []closedworld.Finding) {
	for i, f := range list {
		text := f.Text
		if f.Symbol == "" && f.Section != "" {
			text = f.Section + ": " + text
		}
		if i == maxFindings {
			b.refusals = append(b.refusals, diff.Refusal{Code: codes.Unexplained, File: b.im.Path, Text: fmt.Sprintf("there are %d other differences of this kind", len(list)-i)})
			return
		}
		b.refusals = append(b.refusals, diff.Refusal{Code: codes.Unexplained, File: cmp.Or(f.Object, b.im.Path), Symbol: f.Symbol,
			Text: fmt.Sprintf("as the build links it with the fix, %s; no object shows that, and the patch does not have it: make the fix without it, or restart the program", text)})
	}
}
