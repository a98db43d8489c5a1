package build

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/lpelf"
)

// linksDir is in the directory of the objects; it has a linkRecord for each file that the build linked. madeDir has a madeRecord
// for each object.
const (
	linksDir = ".links"
	madeDir  = ".made"
)

// madeRecord tells what the build itself got for an object that is recorded, which may have been compiled apart.
type madeRecord struct {
	Object string `json:"object"` // its name among the recorded ones
	Sum    string `json:"sum"`    // SHA-256 of what the build got
}

// linkRecord is one link of a build, as the shim saw it: what was made, and of what.
type linkRecord struct {
	Output   string      `json:"output"` // below the tree
	Sum      string      `json:"sum"`    // SHA-256 of the output: that of "ld -r" is linked again
	Identity identity    `json:"identity"`
	Inputs   []linkInput `json:"inputs"` // files of the tree that the linker took something from
	Own      []string    `json:"own"`    // recorded objects of sources that the same call compiled
	LTO      bool        `json:"lto"`
	Unsure   string      `json:"unsure,omitempty"` // why Inputs may not be all, "" if they are
}

// linkInput is an object that was linked.
type linkInput struct {
	Name string `json:"name"` // below the tree; members of archives as ARCHIVE(MEMBER)
	Sum  string `json:"sum"`  // SHA-256
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// identity is what a program or library has in common with one that is made by the same link of the same source, whatever
// the flags of the compiler were.
type identity struct {
	BuildID string   `json:"build_id"`
	Name    string   `json:"name"` // of the file
	Soname  string   `json:"soname"`
	Needed  []string `json:"needed"`
	Exports string   `json:"exports"` // hash of the names that it exports
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
		BuildID: hex.EncodeToString(f.BuildID()), Name: filepath.Base(path), Soname: f.Soname(), Needed: f.Needed(),
		Exports: sumOf([]byte(strings.Join(slices.Compact(names), "\n"))),
	}
}

// same tells whether two files are the outcome of one link, or of the same link in two builds.
func (id identity) same(other identity) bool {
	if id.BuildID != "" && id.BuildID == other.BuildID {
		return true
	}
	named := id.Name == other.Name || id.Soname != "" && id.Soname == other.Soname
	return named && id.Soname == other.Soname && slices.Equal(id.Needed, other.Needed) && id.Exports == other.Exports
}

// Links are the links of two builds, of the old and of the new source. Nil, there are none.
type Links struct{ old, new buildLinks }

// buildLinks are the links of one build.
type buildLinks struct {
	records []linkRecord
	made    map[string][]string // sum -> names of recorded objects
}

// readLinks reads what the shim has written into the directories of objects.
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
	b := buildLinks{made: map[string][]string{}}
	err := readRecords(filepath.Join(dir, linksDir), func(data []byte) error {
		var r linkRecord
		err := json.Unmarshal(data, &r)
		b.records = append(b.records, r)
		return err
	})
	if err != nil {
		return b, err
	}
	return b, readRecords(filepath.Join(dir, madeDir), func(data []byte) error {
		var m madeRecord
		err := json.Unmarshal(data, &m)
		b.made[m.Sum] = append(b.made[m.Sum], m.Object)
		return err
	})
}

func readRecords(dir string, take func([]byte) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		data, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		if err = readErr; err != nil {
			return err
		}
		if err := take(data); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
	}
	return err
}

// writeRecord keeps a record under a name that depends on key alone: a later one of the same key is the one that counts.
func writeRecord(dir, key string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	dir = filepath.Join(os.Getenv(shimObjEnv), dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, sumOf([]byte(key))[:16]+".json")
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// inputs is what the links of a build say about one target.
type inputs struct {
	objects map[string]bool   // names of recorded objects that it was made of
	foreign map[string]string // other objects, with their sums: no compiler was seen to make them
	lto     string            // an output that was linked with -flto
	unsure  string            // why there may be more
	known   bool              // there is such a link
	// identical tells that one of them made exactly the target, by its build-id.
	identical bool
}

// inputsOf gathers the inputs of all links that made a target.
func (l buildLinks) inputsOf(target identity) inputs {
	in := inputs{objects: map[string]bool{}, foreign: map[string]string{}}
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
		if r.LTO {
			in.lto = r.Output
		}
		in.unsure = cmp.Or(in.unsure, r.Unsure)
		for _, name := range r.Own {
			in.objects[name] = true
		}
		for _, input := range r.Inputs {
			if part := made[input.Sum]; part != nil { // of what "ld -r" made, the inputs count
				take(part)
				continue
			}
			if len(l.made[input.Sum]) == 0 {
				in.foreign[input.Name] = input.Sum
			}
			for _, name := range l.made[input.Sum] {
				in.objects[name] = true
			}
		}
	}
	for i := range l.records {
		if l.records[i].Identity.same(target) {
			in.known = true
			in.identical = in.identical || target.BuildID != "" && target.BuildID == l.records[i].Identity.BuildID
			take(&l.records[i])
		}
	}
	return in
}

// excludes tells whether an object is certainly not among the inputs.
func (in inputs) excludes(object string) bool {
	return in.known && in.unsure == "" && !in.objects[object]
}

// mapInput is an object as link maps write it, of all linkers: FILE.o, or ARCHIVE.a(MEMBER.o). GNU ld also names each file
// on a line of its own.
var mapInput = regexp.MustCompile(`[^\s():]+\([^\s()]+\)|[^\s():]+\.(?:o|lo|os|obj)\b|(?m:^LOAD .+$)`)

// recordLink notes a link that is done: args are those of the compiler, mapFile is the linker's map.
func (s *step) recordLink(args []string, mapFile string) error {
	output, err := filepath.Abs(s.linkOutput())
	if err != nil {
		return err
	}
	f, err := lpelf.Open(output)
	if err != nil {
		return nil //nolint:nilerr // a linker script that makes something else; who links that finds it unknown
	}
	r := linkRecord{Output: belowRoot(output), Sum: sumOf(f.Data), Identity: identityOf(f), LTO: wantsLTO(args)}
	for _, src := range s.sources {
		own, err := filepath.Abs(ownObject(s.output, src))
		if err != nil {
			return err
		}
		r.Own = append(r.Own, recordName(own))
	}
	text, err := os.ReadFile(mapFile)
	if err != nil {
		r.Unsure = fmt.Sprintf("the linker wrote no map of %s", r.Output)
	}
	r.takeInputs(string(text), s)
	return writeRecord(linksDir, output, r)
}

// takeInputs finds the inputs in the map and on the command line.
func (r *linkRecord) takeInputs(text string, s *step) {
	files := slices.Clone(s.inputs)
	for _, name := range mapInput.FindAllString(text, -1) {
		if whole, ok := strings.CutPrefix(name, "LOAD "); ok {
			name = whole
		} else if file, _, member := strings.Cut(name, "("); member {
			name = file
		}
		r.LTO = r.LTO || strings.Contains(name, ".ltrans")
		files = append(files, name)
	}
	sort.Strings(files)
	temporary := 0
	for _, name := range slices.Compact(files) {
		abs, err := filepath.Abs(name)
		if err != nil {
			r.Unsure = err.Error()
			return
		}
		data, err := os.ReadFile(abs)
		below := belowRoot(abs)
		switch {
		case err != nil && isTemporary(abs) && !strings.Contains(name, ".ltrans"):
			temporary++ // what the same call compiled
		case err != nil || filepath.IsAbs(below): // a section's name, or a file of the system
		case lpelf.IsArchive(data):
			r.takeMembers(below, data, membersIn(text, name))
		case bytes.HasPrefix(data, []byte("!<thin>\n")):
			r.takeThin(below, filepath.Dir(abs), membersIn(text, name))
		case isObject(data):
			r.Inputs = append(r.Inputs, linkInput{below, sumOf(data)})
		}
	}
	if temporary > len(s.sources) {
		r.Unsure = fmt.Sprintf("%s was linked from more temporary files than its call compiled", r.Output)
	}
}

func isObject(data []byte) bool {
	return isBitcode(data) || len(data) > 18 && bytes.HasPrefix(data, []byte(elf.ELFMAG)) && elf.Type(data[16]) == elf.ET_REL
}

// membersIn lists the members of an archive that a map names.
func membersIn(text, archive string) map[string]bool {
	out := map[string]bool{}
	for _, part := range strings.Split(text, archive+"(")[1:] {
		if member, _, ok := strings.Cut(part, ")"); ok {
			out[member] = true
		}
	}
	return out
}

func (r *linkRecord) takeMembers(archive string, data []byte, names map[string]bool) {
	members, err := lpelf.ParseArchive(archive, data)
	if err != nil {
		r.Unsure = err.Error()
		return
	}
	for _, m := range members {
		if names[m.Name] {
			r.Inputs = append(r.Inputs, linkInput{archive + "(" + m.Name + ")", sumOf(m.Data)})
		}
	}
}

// takeThin takes members of an archive that only names them, by their paths from its directory.
func (r *linkRecord) takeThin(archive, dir string, names map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			r.Unsure = fmt.Sprintf("%s was linked from %s of %s, which is not there", r.Output, name, archive)
			continue
		}
		r.Inputs = append(r.Inputs, linkInput{archive + "(" + name + ")", sumOf(data)})
	}
}

func isTemporary(path string) bool {
	return strings.HasPrefix(path, os.TempDir()+"/") && belowRoot(path) == path
}

// belowRoot is a path relative to the tree, or itself if it is elsewhere.
func belowRoot(abs string) string {
	rel, err := filepath.Rel(os.Getenv(shimRootEnv), abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return abs
	}
	return rel
}

// wantsLTO tells whether a call of the compiler asks for link-time optimisation: the last word on it counts.
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
