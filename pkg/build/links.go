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
	"regexp"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/lpelf"
)

// linksDir is in the folder of the objects; it has a linkRecord for each file that the build linked.
const linksDir = ".links"

// linkRecord is one link of a build, as the shim saw it: what was made, and of what.
type linkRecord struct {
	Output   string   `json:"output"`   // below the tree
	Identity identity `json:"identity"` // of the output
	// Inputs are the files of the tree that the linker took something from, below the tree; members of archives as
	// ARCHIVE(MEMBER).
	Inputs []string `json:"inputs"`
	// Own are the recorded objects of sources that the same call compiled.
	Own []string `json:"own"`
	LTO bool     `json:"lto"`
	// Unsure says why Inputs may not be all, "" if they are.
	Unsure string `json:"unsure,omitempty"`
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
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(names), "\n")))
	return identity{
		BuildID: hex.EncodeToString(f.BuildID()), Name: filepath.Base(path), Soname: f.Soname(), Needed: f.Needed(),
		Exports: hex.EncodeToString(sum[:]),
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
type Links struct{ old, new []linkRecord }

// readLinks reads what the shim has written into the folders of objects.
func readLinks(old, new string) (*Links, error) {
	l := &Links{}
	var err error
	if l.old, err = readLinkRecords(old); err != nil {
		return nil, err
	}
	l.new, err = readLinkRecords(new)
	return l, err
}

func readLinkRecords(dir string) ([]linkRecord, error) {
	dir = filepath.Join(dir, linksDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []linkRecord
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		var r linkRecord
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		out = append(out, r)
	}
	return out, nil
}

// inputs is what the links of a build say about one target.
type inputs struct {
	names  map[string]bool // base names of objects, and of sources that were compiled in the same call, as they are recorded
	lto    string          // an output that was linked with -flto
	unsure string          // why there may be more
	known  bool            // there is such a link
}

// inputsOf gathers the inputs of all links that made a target. objects are the names of the objects that the build recorded.
func inputsOf(records []linkRecord, target identity, objects map[string][]byte) inputs {
	in := inputs{names: map[string]bool{}}
	recorded := map[string]bool{}
	for name := range objects {
		recorded[objectBase(name)] = true
	}
	made := map[string]*linkRecord{}
	for i := range records {
		made[records[i].Output] = &records[i]
	}
	// Of what "ld -r" made, the inputs count.
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
			in.names[objectBase(name)] = true
		}
		for _, name := range r.Inputs {
			base := objectBase(name)
			in.names[base] = true
			if part := made[name]; part != nil {
				take(part)
			} else if !recorded[base] {
				in.unsure = cmp.Or(in.unsure, fmt.Sprintf("%s was linked from %s, and it is not known what that was made of", r.Output, name))
			}
		}
	}
	for i := range records {
		if records[i].Identity.same(target) {
			in.known = true
			take(&records[i])
		}
	}
	return in
}

// objectBase is what an object, a member of an archive and the record of an object have in common.
func objectBase(name string) string {
	if i := strings.LastIndexByte(name, '('); i >= 0 {
		name = strings.TrimSuffix(name[i+1:], ")")
	}
	base := filepath.Base(name)
	if whole, ok := strings.CutSuffix(base, ".o"); ok && strings.Contains(whole, ".") && isObjectName(whole) {
		return whole // recorded as foo.lo.o
	}
	return base
}

// excludes tells whether an object is certainly not among the inputs.
func (in inputs) excludes(object string) bool {
	return in.known && in.unsure == "" && !in.names[objectBase(object)]
}

// mapInput is an object as link maps write it, of all linkers: FILE.o, or ARCHIVE.a(MEMBER.o).
var mapInput = regexp.MustCompile(`[^\s():]+\([^\s()]+\)|[^\s():]+\.(?:o|lo|os|obj)\b`)

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
	r := linkRecord{Output: belowRoot(output), Identity: identityOf(f), LTO: wantsLTO(args)}
	for _, src := range s.sources {
		r.Own = append(r.Own, ownObject(s.output, src))
	}
	text, err := os.ReadFile(mapFile)
	if err != nil {
		r.Unsure = fmt.Sprintf("the linker wrote no map of %s", r.Output)
	}
	r.takeMap(string(text), len(s.sources) > 0)
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := filepath.Join(os.Getenv(shimObjEnv), linksDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A later link of the same file is the one that counts.
	sum := sha256.Sum256([]byte(output))
	name := filepath.Join(dir, hex.EncodeToString(sum[:8])+".json")
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// takeMap reads the inputs from a link map. compiled tells that the call also compiled, so that some are temporary files.
func (r *linkRecord) takeMap(text string, compiled bool) {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "LOAD "); ok && strings.ContainsAny(name, " \t") {
			r.Unsure = fmt.Sprintf("%s was linked from a file with a space in its name: %q", r.Output, name)
		}
	}
	found := mapInput.FindAllString(text, -1)
	sort.Strings(found)
	for _, name := range slices.Compact(found) {
		file, member, isMember := strings.Cut(name, "(")
		abs, err := filepath.Abs(file)
		if err != nil {
			r.Unsure = err.Error()
			return
		}
		_, err = os.Stat(abs)
		below := belowRoot(abs)
		r.LTO = r.LTO || strings.Contains(file, ".ltrans")
		switch {
		case err != nil && isTemporary(abs) && !compiled:
			r.Unsure = fmt.Sprintf("%s was linked from the temporary file %s", r.Output, abs)
		case err != nil || filepath.IsAbs(below): // a section's name, or a file of the system
		case isMember:
			r.Inputs = append(r.Inputs, below+"("+member)
		default:
			r.Inputs = append(r.Inputs, below)
		}
	}
}

func isTemporary(path string) bool {
	dir := os.TempDir()
	return strings.HasPrefix(path, dir+"/") && belowRoot(path) == path
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
