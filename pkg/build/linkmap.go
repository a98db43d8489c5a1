// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// The inputs of a link are listed in the link map and on the command line. GNU ld prints a line for each file that it opens;
// gold and lld print a file only if they use something from it. Names appear as on the command line and may contain any
// characters.

// linkerWords returns the words of a compiler's command line that are passed to the linker, with -Wl and -Xlinker.
func linkerWords(args []string) []string {
	var out []string
	for i, a := range args {
		if list, ok := strings.CutPrefix(a, "-Wl,"); ok {
			out = append(out, strings.Split(list, ",")...)
		}
		if i > 0 && args[i-1] == "-Xlinker" {
			out = append(out, a)
		}
	}
	return expand(out)
}

// mapOf returns the path to which the linker is told to write its map, "-" for standard output, or "".
func mapOf(words []string) string {
	file := ""
	for i, w := range words {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case w == "-M" || strings.TrimPrefix(w, "-") == "-print-map" || w == "-print-map":
			file = "-"
		case name != "-Map" && name != "--Map":
		case ok:
			file = value
		case i+1 < len(words):
			file = words[i+1]
		}
	}
	return file
}

// giveMap writes a link map to the path requested by the build.
func giveMap(to string, text []byte) error {
	if st, err := os.Stat(to); to == "" || err == nil && st.IsDir() {
		return nil
	}
	if to == "-" {
		_, err := os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(to, text, 0o666)
}

// mapInput matches an object in the map of any linker: FILE.o or ARCHIVE.a(MEMBER.o). GNU ld additionally prints each file on
// a line of its own.
var (
	mapInput = lazyregexp.New(`[^\s():]+\([^\s()]+\)|[^\s():]+\.(?:o|lo|os|obj)\b`)
	mapLoad  = lazyregexp.New(`(?m)^LOAD (.+)$`)
	// compiled matches the temporary objects of a call of gcc or clang that compiles and links.
	compiled = lazyregexp.New(`^(cc[A-Za-z0-9]{6}|.+-[0-9a-f]{6})\.o$`)
)

// takeInputs collects the inputs from the map and the command line, except those made by the linker's LTO back end.
func (r *linkRecord) takeInputs(text string, s *step, late []string) {
	if strings.TrimSpace(text) == "" {
		r.Unsure = fmt.Sprintf("the linker wrote no map of %s", r.Output)
	}
	given := s.given()
	loaded := map[string]bool{}
	for _, m := range mapLoad().FindAllStringSubmatch(text, -1) {
		loaded[m[1]] = true
	}
	files := slices.Concat(given, s.libraries(), slices.Collect(maps.Keys(loaded)))
	for _, name := range mapInput().FindAllString(text, -1) {
		file, _, _ := strings.Cut(name, "(")
		r.LTO = r.LTO || strings.Contains(name, ".ltrans")
		files = append(files, file)
	}
	slices.Sort(files)
	temporary := 0
	for _, name := range slices.Compact(files) {
		data, err := s.read(name)
		switch {
		case err == nil:
			r.takeFile(name, text, data)
			if slices.Contains(given, name) && len(loaded) > 0 && !loaded[name] && (isObject(data) || isArchive(data)) {
				r.Unsure = fmt.Sprintf("%s was linked from %s, and the linker's map does not name that", r.Output, name)
			}
		case strings.Contains(name, ".ltrans"), slices.Contains(late, name):
		case isTemporary(name) || loaded[name] && compiled().MatchString(filepath.Base(name)):
			temporary++ // compiled by the same call
		case loaded[name]: // otherwise it is the name of a section
			r.Unsure = fmt.Sprintf("%s was linked from %s, which is not there any more", r.Output, name)
		}
	}
	if base := calledOtherwise(text, files); base != "" {
		r.Unsure = fmt.Sprintf("the linker's map of %s names %s by a path that is not known", r.Output, base)
	}
	if temporary > len(s.sources) {
		r.Unsure = fmt.Sprintf("%s was linked from more temporary files than its call compiled", r.Output)
	}
}

func (r *linkRecord) takeFile(name, text string, data []byte) {
	abs, err := filepath.Abs(name)
	if err != nil {
		r.Unsure = err.Error()
		return
	}
	below := belowRoot(abs)
	if isObject(data) {
		r.add(below, data)
		return
	}
	if !isArchive(data) {
		return
	}
	switch members := membersIn(text, name); {
	case len(members) == 0: // no member was needed
	case lpelf.IsArchive(data):
		r.takeMembers(below, data, members)
	default:
		r.takeThin(below, filepath.Dir(abs), members)
	}
}

func (r *linkRecord) add(name string, data []byte) {
	in := linkInput{Name: name, Sum: sumOf(data), LTO: holdsLTO(name, data)}
	if filepath.IsAbs(name) && !ofSystem().MatchString(name) {
		in.From = sourcesOf(name, data).sources
	}
	r.Inputs = append(r.Inputs, in)
}

// ofSystem matches the directories in which compilers and libraries are installed.
var ofSystem = lazyregexp.New(`^/(usr/(local/)?)?lib`)

// suspectOld marks links that use objects outside of the tree which were not made in this build although their sources are in
// the tree: they stem from an earlier build and are therefore the same in both builds.
func (l *buildLinks) suspectOld(tree names) {
	for i := range l.records {
		r := &l.records[i]
		for _, in := range r.Inputs {
			_, member, _ := strings.Cut(strings.TrimSuffix(in.Name, ")"), "(")
			object := filepath.Base(cmp.Or(member, in.Name))
			if filepath.IsAbs(in.Name) && !ofSystem().MatchString(in.Name) && !l.ever[in.Sum] && tree.made(madeOf{object: object, sources: in.From}) {
				r.Unsure = fmt.Sprintf("%s was linked from %s, which an earlier build has made from the tree; remove that first, or have the build write below the directory where it is started", r.Output, in.Name)
			}
		}
	}
}

func isObject(data []byte) bool {
	return isBitcode(data) || len(data) > 18 && isELF(data) && elf.Type(data[16]) == elf.ET_REL
}

func isArchive(data []byte) bool {
	return lpelf.IsArchive(data) || bytes.HasPrefix(data, []byte("!<thin>\n"))
}

// given returns the files named on the command line, including those in -Wl, whatever their type.
func (s *step) given() []string {
	var out []string
	for i, name := range slices.Concat(s.words, s.inputs) {
		if i > 0 && i < len(s.words) && s.words[i-1] == "--exclude-libs" {
			continue // the value is the last component of a path
		}
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			out = append(out, name)
		}
	}
	return out
}

// libraries returns the archives that -l options may refer to, in the directories given on the command line.
func (s *step) libraries() []string {
	var dirs, names []string
	for _, args := range [][]string{s.all, s.words} {
		for i, a := range args {
			for _, p := range []string{"-L", "-l", "--library-path=", "--library="} {
				value, ok := strings.CutPrefix(a, p)
				if ok && value == "" && i+1 < len(args) {
					value = args[i+1]
				}
				switch {
				case !ok:
				case strings.HasPrefix(p, "-L") || p == "--library-path=":
					dirs = append(dirs, value)
				case strings.HasPrefix(value, ":"):
					names = append(names, value[1:])
				default:
					names = append(names, "lib"+value+".a")
				}
			}
		}
	}
	var out []string
	for _, dir := range append(dirs, filepath.SplitList(os.Getenv("LIBRARY_PATH"))...) {
		for _, name := range names {
			if st, err := os.Stat(dir + "/" + name); err == nil && st.Mode().IsRegular() {
				out = append(out, dir+"/"+name)
			}
		}
	}
	return out
}

// calledOtherwise returns the name of an archive that the map also mentions with an unknown path, or "".
func calledOtherwise(text string, files []string) string {
	files = slices.DeleteFunc(slices.Clone(files), func(name string) bool { return !strings.Contains(filepath.Base(name), ".a") })
	slices.SortFunc(files, func(a, b string) int { return len(b) - len(a) })
	rest := text
	for _, name := range files {
		if _, err := os.Stat(name); err == nil {
			rest = strings.ReplaceAll(rest, name+"(", "")
		}
	}
	for _, name := range files {
		if base := filepath.Base(name); strings.Contains(rest, "/"+base+"(") || strings.Contains(rest, " "+base+"(") {
			return base
		}
	}
	return ""
}

// membersIn returns the members of an archive that a map mentions. The archive's path may be a suffix of another one.
func membersIn(text, archive string) map[string]bool {
	out := map[string]bool{}
	for rest := text; ; {
		i := strings.Index(rest, archive+"(")
		if i < 0 {
			return out
		}
		first := i == 0 || strings.ContainsRune(" \t\n(", rune(rest[i-1]))
		rest = rest[i+len(archive)+1:]
		if member, _, ok := strings.Cut(rest, ")"); ok && first {
			out[member] = true
		}
	}
}

func (r *linkRecord) takeMembers(archive string, data []byte, names map[string]bool) {
	members, err := lpelf.ParseArchive(archive, data)
	if err != nil {
		r.Unsure = err.Error()
		return
	}
	found := map[string]bool{}
	for _, m := range members {
		if names[m.Name] {
			found[m.Name] = true
			r.add(archive+"("+m.Name+")", m.Data)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !found[name] {
			r.Unsure = fmt.Sprintf("%s was linked from %s of %s, which is not there", r.Output, name, archive)
		}
	}
}

// takeThin adds members of a thin archive, which are named by paths relative to its directory.
func (r *linkRecord) takeThin(archive, dir string, names map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			r.Unsure = fmt.Sprintf("%s was linked from %s of %s, which is not there", r.Output, name, archive)
			continue
		}
		r.add(archive+"("+name+")", data)
	}
}
