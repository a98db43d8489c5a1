// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// What runs after link-time optimisation was made by the linker's back end. Its objects are kept as the linker gets them, and
// joined to one for each output, so that it does not matter how the back end has divided the program. gcc's linker plugin calls
// lto-wrapper, which prints the names of these objects: a shim of that name copies them. lld keeps its own if it is told to.
const (
	ltoWrapper  = "lto-wrapper"
	keepEnv     = "LPATCH_SHIM_KEEP"        // the directory for copies
	wrapperEnv  = "LPATCH_SHIM_LTO_WRAPPER" // the real one
	keptNames   = "names"                   // in that directory: what the linker got, a line for each
	wrapperBin  = "lto"                     // below the directory of links
	lateNoPlace = "link-time optimisation was done, and its objects could not be kept"
)

// late is the link-time optimisation of one link.
type late struct {
	dir   string   // of what is kept
	args  []string // of the link, for that
	names []string // what the linker got, as its map calls it; of gcc
	files []string // the copies
}

// keepLate prepares to keep the objects of a link. Where the build is to have its files as it wants them, they are not kept at
// first, see find.
func (s *step) keepLate(real string) (*late, error) {
	l := &late{}
	if os.Getenv(shimTwiceEnv) != "" {
		return l, nil
	}
	return l, l.prepare(s, real)
}

func (l *late) prepare(s *step, real string) error {
	dir, err := os.MkdirTemp(os.Getenv(shimObjEnv), ".late-")
	if err != nil {
		return err
	}
	l.dir = dir
	object := filepath.Join(dir, "object")
	clang := isClang(real)
	lld := clang && s.usesLLD(real)
	switch {
	case !clang:
		wrapper, err := exec.Command(real, "-print-prog-name="+ltoWrapper).Output()
		name := strings.TrimSpace(string(wrapper))
		if err != nil || !filepath.IsAbs(name) {
			return nil //nolint:nilerr // it cannot optimise
		}
		l.args = append(s.ownFlags(), "-B"+filepath.Join(os.Getenv(shimEnv), wrapperBin)+"/")
		return errors.Join(os.Setenv(keepEnv, dir), os.Setenv(wrapperEnv, name))
	case lld:
		l.args = []string{"-Wl,--lto-obj-path=" + object}
	default:
		l.args = []string{"-Wl,-plugin-opt=obj-path=" + object}
	}
	switch {
	case wantsLTO(s.all):
		l.args = append(l.args, s.ownFlags()...)
	case !lld:
		l.args = nil // there is no plugin
	}
	return nil
}

func isClang(real string) bool {
	if to, err := filepath.EvalSymlinks(real); err == nil {
		real = to
	}
	return strings.Contains(filepath.Base(real), "clang")
}

// usesLLD tells whether clang links with lld: it is told to, or it is what it does by itself.
func (s *step) usesLLD(real string) bool {
	linker := ""
	for _, a := range s.all {
		for _, p := range []string{"-fuse-ld=", "--ld-path="} {
			if value, ok := strings.CutPrefix(a, p); ok {
				linker = value
			}
		}
	}
	if linker == "" {
		out, err := exec.Command(real, "-print-prog-name=ld").Output()
		if to, linkErr := filepath.EvalSymlinks(strings.TrimSpace(string(out))); err == nil && linkErr == nil {
			linker = to
		}
	}
	return strings.Contains(filepath.Base(linker), "lld")
}

// wrapLTO is what a shim does that is called as lto-wrapper.
func wrapLTO(args []string) (int, error) {
	c := exec.Command(os.Getenv(wrapperEnv), args...)
	var out bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, &out, os.Stderr
	status, err := exitStatus(c.Run())
	if err != nil {
		return 0, err
	}
	dir := os.Getenv(keepEnv)
	for i, name := range strings.Fields(out.String()) {
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("object%d", i)), data, 0o600)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, keptNames), out.Bytes(), 0o600); err != nil {
		return 0, err
	}
	_, err = os.Stdout.Write(out.Bytes())
	return status, err
}

// find lists what was kept, in the order in which the linker got it. text is the map of a link that is done; if nothing was to be
// kept, and there was something, it is linked once more.
func (l *late) find(s *step, real, text string) error {
	if l.dir == "" {
		if !wantsLTO(s.all) && !ltoInput().MatchString(text) {
			return nil
		}
		if err := l.prepare(s, real); err != nil {
			return err
		}
		if err := s.linkAgain(real, l); err != nil {
			return err
		}
		l.names = append(l.names, ltoInput().FindAllString(text, -1)...)
	}
	names, err := os.ReadFile(filepath.Join(l.dir, keptNames))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.names = append(l.names, strings.Fields(string(names))...)
	return l.takeAll()
}

// takeAll lists the copies: they are numbered, and the first may have no number or 0.
func (l *late) takeAll() error {
	if _, err := l.take("object"); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if there, err := l.take(fmt.Sprintf("object%d", i)); err != nil || !there && i > 0 {
			return err
		}
	}
}

// ltoInput is what the back end made, as a map names it.
var ltoInput = lazyregexp.New(`[^\s():]+\.(ltrans[0-9]*\.ltrans|lto|debug\.temp)\.o\b`)

// take adds a file, and tells whether it is there. One without a symbol has nothing.
func (l *late) take(name string) (bool, error) {
	path := filepath.Join(l.dir, name)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case st.Size() > 0:
		l.files = append(l.files, path)
	}
	return true, nil
}

func (l *late) remove() {
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

// takeLate adds what link-time optimisation has made, if there was any.
func (r *linkRecord) takeLate(s *step, l *late, output string) error {
	r.LTO = r.LTO || len(l.files) > 0
	if !r.LTO {
		return nil
	}
	if len(l.files) == 0 {
		why := s.oddLTO()
		if why != "" || len(s.sources) > 0 || slices.ContainsFunc(r.Inputs, func(in linkInput) bool { return in.LTO }) {
			r.WhyNotLate = cmp.Or(why, lateNoPlace)
		}
		r.LTO = r.WhyNotLate != "" // else -flto had nothing that it applies to
		return nil
	}
	in, why, err := l.record(s, output)
	if err != nil || why != "" {
		r.WhyNotLate = why
		return err
	}
	r.Own = append(r.Own, in)
	return nil
}

// record joins the objects and keeps the outcome for an output. It returns why that cannot be done, or "".
func (l *late) record(s *step, output string) (own linkInput, why string, err error) {
	if why := s.oddLTO(); why != "" {
		return linkInput{}, why, nil
	}
	for _, name := range l.files {
		f, err := lpelf.Open(name)
		switch {
		case err != nil:
			return linkInput{}, lateNoPlace + " (" + err.Error() + ")", nil //nolint:nilerr // it is why
		case f.HoldsLTO():
			return linkInput{}, "it is linked with -r and -flto, and what runs is made of that later", nil
		}
	}
	joined := filepath.Join(l.dir, "joined")
	out, err := exec.Command("ld", slices.Concat([]string{"-r", "--unique", "-o", joined}, l.files)...).CombinedOutput()
	if err != nil {
		return linkInput{}, fmt.Sprintf("%s: ld -r --unique: %s", lateNoPlace, strings.TrimSpace(string(out))), nil //nolint:nilerr // it is why
	}
	data, err := os.ReadFile(joined)
	if err != nil {
		return linkInput{}, "", err
	}
	in := linkInput{Name: placeName(output) + diff.LateSuffix, Sum: sumOf(data)}
	dst := prepareRecord(in.Name)
	count()
	return in, "", errors.Join(os.Rename(joined, dst), noteMade(in))
}

// oddLTO says why it is not known of which objects a link has made what its back end made, or "".
func (s *step) oddLTO() string {
	switch {
	case slices.Contains(s.all, "-fno-use-linker-plugin"):
		return "it is linked with -flto and -fno-use-linker-plugin, so that members of archives may be optimised or not; link it with the plugin"
	case slices.ContainsFunc(s.words, func(w string) bool {
		return strings.Contains(w, "thinlto-cache-dir") || strings.Contains(w, "cache-dir=")
	}):
		return "it is linked with a cache of thin LTO, in which code of other builds may be; link it without"
	case slices.ContainsFunc(s.words, func(w string) bool { return strings.Contains(w, "thinlto-index-only") }):
		return "it is linked with distributed thin LTO (thinlto-index-only); link it in one"
	}
	return ""
}

// linkAgain links once more, into a file that nobody wants, with what objects to compare need.
func (s *step) linkAgain(real string, l *late) error {
	args := slices.Concat(prefixMap(), s.withoutOutputs(), l.args, []string{"-Wl,-Map=" + filepath.Join(l.dir, "map"), "-o", filepath.Join(l.dir, "output")})
	if out, err := exec.Command(real, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s is linked, but not once more: %w\n%s", s.linkOutput(), err, out)
	}
	return nil
}

// withoutOutputs are the arguments of a link without its output and what is about files of dependencies.
func (s *step) withoutOutputs() []string {
	var args []string
	for i := 0; i < len(s.all); i++ {
		a := s.all[i]
		words := s.all[i : i+1]
		if (a == "-o" || valueFlags[a]) && i+1 < len(s.all) {
			i++
			words = s.all[i-1 : i+1]
		}
		if !strings.HasPrefix(a, "-o") && !strings.HasPrefix(a, "-M") {
			args = append(args, words...)
		}
	}
	return args
}
