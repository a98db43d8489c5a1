// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/lpelf"
)

// linksDir is a subdirectory of the directory of objects with a linkRecord for each file that the build linked. madeDir has a
// linkInput for each recorded object: its name, and the SHA-256 of the object that the build itself got, which may have been
// compiled separately. If an object was made several times, the last one is recorded; everMadeDir has all of them.
const (
	linksDir    = ".links"
	madeDir     = ".made"
	everMadeDir = ".ever-made"
)

// recordFormat is the number of what these records and those of made objects tell. It is raised with each change of them: what an
// earlier lpctl has kept of the older build of a package does not fit what this one notes of the newer. 2: WhyNotLate, Image. 3: both builds of a package
// link as it does without. 4: they are a user's who has no rights. 5: Parts, Loaded.
const recordFormat = 5

// linkRecord describes a link of a build as seen by the shim.
type linkRecord struct {
	Output   string      `json:"output"` // relative to the tree
	Sum      string      `json:"sum"`    // SHA-256 of the output, to recognize the output of "ld -r" as an input
	Identity identity    `json:"identity"`
	Inputs   []linkInput `json:"inputs"` // objects that the linker used
	Own      []linkInput `json:"own"`    // recorded objects of sources compiled by the same call
	How      []linkInput `json:"how"`    // arguments that influence the output, and the files they name with their SHA-256
	LTO      bool        `json:"lto"`
	Image    keptImage   `json:"image"`
	// Parts has the sums of the output's parts, see laterSums, and Loaded is that of all that is loaded.
	Parts  map[string]string `json:"parts"`
	Loaded string            `json:"loaded"`
	// WhyNotLate says why the objects that link-time optimisation has made are not among Own, where there was any.
	WhyNotLate string `json:"why_not_late,omitempty"`
	Unsure     string `json:"unsure,omitempty"` // reason why Inputs may be incomplete; "" if it is complete
}

// linkInput is an object that was linked.
type linkInput struct {
	Name string   `json:"name"` // relative to the tree, or an absolute path outside of it; members of archives as ARCHIVE(MEMBER)
	Sum  string   `json:"sum,omitempty"`
	From []string `json:"from,omitempty"` // sources named by an object outside of the tree
	LTO  bool     `json:"lto,omitempty"`  // contains intermediate code for link-time optimisation
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// identity contains the properties of a program or library that do not depend on compiler flags. They identify the same link
// of the same source.
type identity struct {
	BuildID string   `json:"build_id"`
	Name    string   `json:"name"` // base name of the file
	Soname  string   `json:"soname"`
	Needed  []string `json:"needed"`
	Exports string   `json:"exports"` // hash of the exported names
}

func identityOf(f *lpelf.File) identity {
	path := f.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	var names []string
	for _, s := range f.DynSymbols {
		if s.Defined() {
			names = append(names, s.Name)
		}
	}
	sort.Strings(names)
	return identity{
		BuildID: hex.EncodeToString(f.BuildID()), Name: withoutCargo(filepath.Base(path)), Soname: f.Soname(), Needed: f.Needed(),
		Exports: sumOf([]byte(strings.Join(slices.Compact(names), "\n"))),
	}
}

// same reports whether two files are the output of one link, or of the same link in two builds.
func (id identity) same(other identity) bool {
	if id.BuildID != "" && id.BuildID == other.BuildID {
		return true
	}
	named := id.Name == other.Name || id.Soname != "" && id.Soname == other.Soname
	return named && id.Soname == other.Soname && slices.Equal(id.Needed, other.Needed) && id.Exports == other.Exports
}

// Links contains the links of two builds, of the old and of the new source. It is nil if they are not known.
type Links struct{ old, new buildLinks }

// buildLinks contains the links of one build.
type buildLinks struct {
	dir     string // directory of objects
	records []linkRecord
	made    map[string][]string // SHA-256 -> names of recorded objects
	ever    map[string]bool     // SHA-256 of all objects that were made

	stripped map[string]string // SHA-256 of an output of strip -> that of its input
}

// readLinks reads the records that the shim has written to the directories of objects.
func readLinks(old, new string) (*Links, error) {
	l := &Links{}
	var err error
	if l.old, err = readBuildLinks(old); err != nil {
		return nil, err
	}
	l.new, err = readBuildLinks(new)
	return l, err
}

func readBuildLinks(dir string) (buildLinks, error) {
	b := buildLinks{dir: dir, made: map[string][]string{}, ever: map[string]bool{}}
	err := readRecords(filepath.Join(dir, linksDir), func(_ string, data []byte) error {
		var r linkRecord
		err := json.Unmarshal(data, &r)
		b.records = append(b.records, r)
		return err
	})
	if err != nil {
		return b, err
	}
	alias := map[string]string{}
	for name, take := range map[string]func(linkInput){
		aliasDir:    func(m linkInput) { alias[m.Sum] = m.Name },
		madeDir:     func(m linkInput) { b.made[m.Sum] = append(b.made[m.Sum], m.Name) },
		everMadeDir: func(m linkInput) { b.ever[m.Sum] = true },
	} {
		err := readRecords(filepath.Join(dir, name), func(_ string, data []byte) error {
			var m linkInput
			err := json.Unmarshal(data, &m)
			take(m)
			return err
		})
		if err != nil {
			return b, err
		}
	}
	b.takeAliases(alias)
	return b, nil
}

func readRecords(dir string, take func(file string, data []byte) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		data, readErr := os.ReadFile(file)
		if err = readErr; err != nil {
			return err
		}
		if err := take(file, data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return err
}

// writeRecord stores a record under a name that depends only on key. A later record with the same key replaces it.
func writeRecord(dir, key string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	dir = filepath.Join(os.Getenv(shimObjEnv), dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, recordFile(key))
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// recordFile returns the file name of the record for key.
func recordFile(key string) string { return sumOf([]byte(key))[:16] + ".json" }

// inputs contains what the links of a build tell about one target.
type inputs struct {
	objects map[string]bool   // names of the recorded objects it consists of
	foreign map[string]string // other objects, with SHA-256: they were not made by a known compiler
	again   map[string]bool   // those of foreign that were made in the build and then replaced
	how     map[string]string // arguments by output, see linkRecord.How
	outputs map[string]bool   // outputs of the links
	lto     string            // output linked with -flto for which the optimised objects are not available
	whyLTO  string            // reason for this
	early   map[string]bool   // names of recorded objects from which optimised objects were made
	unsure  string            // reason why there may be further inputs
	known   bool              // there is such a link
	// identical is set for the old build if one of its links produced exactly the target, according to the build-id.
	identical bool
}

// inputsOf collects the inputs of all links that produced a target, for both builds. A fix may change the properties that
// identify a link, needed libraries and exports; the new link is then identified by its output path.
func (l *Links) inputsOf(target identity) (old, new inputs) {
	same := func(r *linkRecord) bool { return r.Identity.same(target) }
	if !slices.ContainsFunc(l.old.records, func(r linkRecord) bool { return same(&r) }) {
		target = l.old.renamed(target)
	}
	old = l.old.inputsOf(same)
	old.identical = slices.ContainsFunc(l.old.records, func(r linkRecord) bool { return target.BuildID != "" && target.BuildID == r.Identity.BuildID })
	return old, l.new.inputsOf(func(r *linkRecord) bool { return same(r) || old.outputs[r.Output] })
}

// renamed returns the identity of a target with the name that the build gives it, if no link produces a file of the target's
// name and the links with the same exports agree on one name.
func (l buildLinks) renamed(target identity) identity {
	name := ""
	for _, r := range l.records {
		other := r.Identity
		other.Name = target.Name
		switch {
		case target.Exports == noExports || !other.same(target):
		case name != "" && name != r.Identity.Name:
			return target
		default:
			name = r.Identity.Name
		}
	}
	target.Name = cmp.Or(name, target.Name)
	return target
}

// noExports is identity.Exports of a program without exports.
var noExports = sumOf(nil)

func (l buildLinks) inputsOf(makes func(*linkRecord) bool) inputs {
	in := inputs{objects: map[string]bool{}, early: map[string]bool{}, foreign: map[string]string{}, again: map[string]bool{}, how: map[string]string{}, outputs: map[string]bool{}}
	made := map[string]*linkRecord{}
	for i := range l.records {
		made[l.records[i].Sum] = &l.records[i]
	}
	done := map[*linkRecord]bool{}
	var take func(r *linkRecord)
	take = func(r *linkRecord) {
		if done[r] {
			return
		}
		done[r] = true
		if r.LTO && r.WhyNotLate != "" {
			in.lto, in.whyLTO = r.Output, r.WhyNotLate
		}
		in.unsure = cmp.Or(in.unsure, r.Unsure)
		in.takeHow(r)
		for _, input := range slices.Concat(r.Own, r.Inputs) {
			input.Sum = cmp.Or(l.stripped[input.Sum], input.Sum)
			if input.LTO && r.LTO && r.WhyNotLate == "" { // the optimised objects count instead
				for _, name := range l.made[input.Sum] {
					in.early[name] = true
				}
				continue
			}
			if part := made[input.Sum]; part != nil { // the inputs of "ld -r" count instead of its output
				take(part)
				continue
			}
			in.take(l, input)
		}
	}
	for i := range l.records {
		if r := &l.records[i]; makes(r) {
			in.known, in.outputs[r.Output] = true, true
			take(r)
		}
	}
	return in
}

func (in *inputs) take(l buildLinks, input linkInput) {
	for _, name := range l.made[input.Sum] {
		in.objects[name] = true
	}
	if len(l.made[input.Sum]) > 0 {
		return
	}
	if !strings.Contains(in.foreign[input.Name], input.Sum) { // several links may have used different objects of this name
		sums := append(strings.Fields(in.foreign[input.Name]), input.Sum)
		slices.Sort(sums)
		in.foreign[input.Name] = strings.Join(sums, " ")
	}
	in.again[input.Name] = in.again[input.Name] || l.ever[input.Sum]
}

// excludes reports whether an object is proven not to be an input.
func (in inputs) excludes(object string) bool {
	return in.known && in.unsure == "" && !in.objects[object]
}

// recordLink records a completed link with the objects compiled by the same call and the link map.
func (s *step) recordLink(own []linkInput, text, real string, args []string, lto *late) error {
	output, err := filepath.Abs(s.linkOutput())
	if err != nil {
		return err
	}
	f, err := lpelf.Open(output)
	if err != nil {
		return nil //nolint:nilerr // a linker script that makes something else; who links that finds it unknown
	}
	parts := laterSums(f)
	r := linkRecord{Output: belowRoot(output), Sum: sumOf(f.Data), Identity: identityOf(f), Own: own, How: s.how(), LTO: wantsLTO(s.all), Parts: parts, Loaded: loadedSum(f, parts)}
	r.takeInputs(text, s, lto.names)
	if err := r.takeLate(s, lto, output); err != nil {
		return err
	}
	if os.Getenv(shimRustLTOEnv) != "" {
		r.LTO, r.WhyNotLate = true, "rustc optimises it over all crates; have it do without"
	}
	r.Image = s.imageOf(real, args, f, r.Sum, r.LTO)
	// a build may move an output and make another one at its path
	return writeRecord(linksDir, output+"\n"+r.Sum, r)
}

func isTemporary(path string) bool {
	return strings.HasPrefix(path, os.TempDir()+"/") && belowRoot(path) == path
}

// belowRoot returns a path relative to the tree, or unchanged if it is outside.
func belowRoot(abs string) string {
	abs = withoutRustPassing(abs)
	rel, err := filepath.Rel(os.Getenv(shimRootEnv), abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return abs
	}
	return rel
}

// wantsLTO reports whether a compiler call requests link-time optimisation. The last option counts.
func wantsLTO(args []string) bool {
	lto := false
	for _, a := range args {
		switch {
		case a == "-fno-lto":
			lto = false
		case a == "-flto" || strings.HasPrefix(a, "-flto="):
			lto = true
		}
	}
	return lto
}
