// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"text/tabwriter"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/testutil/filetest"
)

// corpusDir returns the directory of objects of real security fixes: LPATCH_CORPUS, a directory or an archive, otherwise
// shared/corpus/corpus.tar.xz next to the repository or further up.
func corpusDir(t *testing.T) string {
	path := os.Getenv("LPATCH_CORPUS")
	if path == "" {
		path = findAbove("shared/corpus/corpus.tar.xz")
	}
	if path == "" {
		t.Skip("note: the corpus of real fixes is not here, so nothing was built from it: set LPATCH_CORPUS to corpus.tar.xz or to the directory in it")
	}
	if st, err := os.Stat(path); err != nil {
		t.Fatalf("LPATCH_CORPUS: %v", err)
	} else if st.IsDir() {
		return path
	}
	dir := t.TempDir()
	if out, err := exec.Command("tar", "xf", path, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return filepath.Join(dir, "corpus")
}

// findAbove looks for a file in the parent directories; "" if there is none.
func findAbove(name string) string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		dir = filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// withSymbols adds the symbol table of a debug file to a stripped file, even if the build-ids differ: the corpus contains
// debug files of rebuilds whose code is known to be equal.
func withSymbols(t *testing.T, stock, debug string) string {
	t.Helper()
	data, err := os.ReadFile(stock)
	if err != nil {
		t.Fatal(err)
	}
	d, err := lpelf.Open(debug)
	if err != nil {
		t.Fatal(err)
	}
	sym, str := d.Section(".symtab"), d.Section(".strtab")
	le := binary.LittleEndian
	shoff, n := le.Uint64(data[0x28:]), int(le.Uint16(data[0x3c:]))
	heads := bytes.Clone(data[shoff : shoff+uint64(n)*64])
	for _, s := range []*lpelf.Section{sym, str} {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		h := make([]byte, 64)
		le.PutUint32(h[4:], uint32(s.Type))
		le.PutUint64(h[0x18:], uint64(len(data)))
		le.PutUint64(h[0x20:], s.Size)
		le.PutUint64(h[0x30:], 8)
		if s == sym {
			le.PutUint32(h[0x28:], uint32(n+1))
			le.PutUint32(h[0x2c:], s.Info)
			le.PutUint64(h[0x38:], 24)
		}
		data = append(data, s.Data...)
		heads = append(heads, h...)
	}
	le.PutUint64(data[0x28:], uint64(len(data)))
	le.PutUint16(data[0x3c:], uint16(n+2))
	out := filepath.Join(t.TempDir(), filepath.Base(stock))
	if err := os.WriteFile(out, append(data, heads...), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// corpusTargets lists the files that the objects of each package are part of.
var corpusTargets = map[string][]string{
	"redis": {"redis-check-rdb"}, "haproxy": {"haproxy"}, "libxml2": {"libxml2.so.2.9.14"}, "xz-utils": {"liblzma.so.5.4.1"},
	"curl": {"libcurl.so.4.8.0", "libcurl-gnutls.so.4.8.0"}, "unbound": {"unbound", "libunbound.so.8.1.21", "unbound-anchor"},
	"libevent": {"libevent-2.1.so.7.0.1", "libevent_openssl-2.1.so.7.0.1"},
}

// corpus is the directory of objects of real fixes and their targets.
type corpus struct {
	root   string
	merged map[string]string // stock file -> copy with the symbols of its debug file
}

// corpusPair is a fix for one of the files of its package.
type corpusPair struct {
	pkg, name, target string
	options           Options
}

func openCorpus(t *testing.T) *corpus {
	return &corpus{root: corpusDir(t), merged: map[string]string{}}
}

// each calls f for every fix, with one pair per target.
func (c *corpus) each(t *testing.T, f func([]corpusPair)) {
	t.Helper()
	pairs, err := filepath.Glob(filepath.Join(c.root, "*", "objects", "*"))
	if err != nil || len(pairs) == 0 {
		t.Fatalf("no pairs in %s: %v", c.root, err)
	}
	sort.Strings(pairs)
	for _, p := range pairs {
		pkg := filepath.Base(filepath.Dir(filepath.Dir(p)))
		var list []corpusPair
		for _, target := range corpusTargets[pkg] {
			o := Options{
				Target: filepath.Join(c.root, pkg, "stock", target), Symbols: filepath.Join(c.root, pkg, "twin", target),
				Old: []string{p + "/old"}, New: []string{p + "/new"}, Name: "test", Tool: "test",
			}
			if pkg == "haproxy" {
				o.Old, o.New = o.New, o.Old // these pairs end at the stock version
			}
			list = append(list, corpusPair{pkg, filepath.Base(p), target, o})
		}
		if len(list) > 0 {
			f(list)
		}
	}
}

// build builds the patches of a fix with the symbols of the twins. The error of each result is ErrNothing or Refusals.
func (c *corpus) build(t *testing.T, pairs []corpusPair) []ImageResult {
	t.Helper()
	return finishPairs(t, pairs, func(o Options) (*builder, error) {
		stock := o.Target
		b, err := prepare(o)
		if err != nil && strings.Contains(err.Error(), "not the same program") {
			// the rebuild differs from the stock file in a version number, so it is the target
			o.Target, o.Symbols = o.Symbols, ""
			b, err = prepare(o)
		}
		if err != nil && strings.Contains(err.Error(), "another build than") {
			if c.merged[stock] == "" {
				c.merged[stock] = withSymbols(t, stock, o.Symbols)
			}
			o.Target, o.Symbols = c.merged[stock], ""
			b, err = prepare(o)
		}
		return b, err
	})
}

func finishPairs(t *testing.T, pairs []corpusPair, prepare func(Options) (*builder, error)) []ImageResult {
	t.Helper()
	list, parts := make([]ImageResult, len(pairs)), make([]*builder, len(pairs))
	for i, p := range pairs {
		var err error
		list[i] = ImageResult{Paths: []string{p.target}}
		if parts[i], err = prepare(p.options); err != nil {
			t.Fatalf("%s %s for %s: %v", p.pkg, p.name, p.target, err)
		}
	}
	if err := finishAll(list, parts); err != nil {
		t.Fatalf("%s %s: %v", pairs[0].pkg, pairs[0].name, err)
	}
	return list
}

// corpusRow is the expectation for a fix in testdata/corpus, and the result.
type corpusRow struct {
	class, remark string
	want          string // built, nothing, or the codes of refusals
	layoutOK      []string
	built         int // number of patches
	nothing       int // number of files that the fix does not concern
	refusals      Refusals
	facts         []string
}

// take records the result of a fix for one file.
func (r *corpusRow) take(kind, target string, im ImageResult) {
	switch kind {
	case "built":
		r.built++
		r.facts = append(r.facts, fmt.Sprintf("%s: %s", target, plural(len(im.Result.Spec.Functions), "function")))
	case "nothing":
		r.nothing++
	case "refused":
		var refusals Refusals
		errors.As(im.Err, &refusals)
		r.refusals = append(r.refusals, refusals...)
	}
}

// got summarises the results of a fix for all files of its package. Refusals of objects of another build of the same source
// are expected if the fix is built for one file.
func (r *corpusRow) got() string {
	switch {
	case r.built > 0:
		return "built"
	case len(r.refusals) > 0:
		codes := map[string]bool{}
		for _, x := range r.refusals {
			codes[string(x.Code)] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(codes)), ",")
	}
	return "nothing"
}

// corpusRows reads testdata/corpus.
func corpusRows(t *testing.T) map[string]*corpusRow {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]*corpusRow{}
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(line, "#") {
			continue
		}
		row := &corpusRow{class: f[2], want: f[3], remark: strings.Join(f[4:], " ")}
		if typ, ok := strings.CutPrefix(row.remark, "--layout-ok "); ok {
			row.layoutOK = []string{typ}
		}
		rows[f[0]+" "+f[1]] = row
	}
	return rows
}

// TestCorpus builds every pair of the corpus with the symbols of the twin, and prints a table of the results.
func TestCorpus(t *testing.T) {
	filetest.Slow(t)
	c := openCorpus(t)
	rows := corpusRows(t)
	c.each(t, func(pairs []corpusPair) {
		key := pairs[0].pkg + " " + strings.TrimSuffix(pairs[0].name, ".patch")
		row := rows[key]
		if row == nil {
			t.Errorf("%s: not in testdata/corpus", key)
			return
		}
		for i := range pairs {
			pairs[i].options.LayoutOK = row.layoutOK
		}
		for i, im := range c.build(t, pairs) {
			kind, text := verdict(im.Result, im.Err)
			t.Logf("%s for %s: %s: %s", key, pairs[i].target, kind, text)
			row.take(kind, pairs[i].target, im)
		}
	})
	printCorpus(t, rows)
	for key, row := range rows {
		if got := row.got(); got != row.want && (row.want == "built" || row.class == "S" || row.class == "D") {
			t.Errorf("%s, class %s: %s, want %s: %v", key, row.class, got, row.want, row.refusals)
		}
	}
}

// printCorpus prints the table, with a count for each class.
func printCorpus(t *testing.T, rows map[string]*corpusRow) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	built, all := map[string]int{}, map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		row := rows[key]
		pkg, name, _ := strings.Cut(key, " ")
		facts := append(slices.Clone(row.facts), row.remark)
		if row.built == 0 && len(row.refusals) > 0 {
			facts = append(facts, row.refusals[0].String())
		}
		fmt.Fprintf(w, "%s\t%.40s\t%s\t%s\t%.130s\n", pkg, name, row.class, row.got(), strings.Join(slices.DeleteFunc(facts, func(s string) bool { return s == "" }), "; "))
		all[row.class]++
		if row.built > 0 {
			built[row.class]++
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var sums []string
	for _, class := range []string{"A", "B", "C", "D"} {
		sums = append(sums, fmt.Sprintf("%s %d of %d", class, built[class], all[class]))
	}
	t.Logf("note: corpus of real fixes: built %s\n%s", strings.Join(sums, ", "), b.String())
}

func verdict(res *Result, err error) (kind, text string) {
	var refusals Refusals
	switch {
	case errors.As(err, &refusals):
		return "refused", refusals.Error()
	case errors.Is(err, ErrNothing):
		return "nothing", err.Error()
	case err != nil:
		return "error", err.Error()
	}
	var names []string
	for _, f := range res.Spec.Functions {
		names = append(names, f.Symbol)
	}
	return "built", fmt.Sprintf("%v, %d fix-ups %v", names, len(res.Spec.Fixups), res.Warnings)
}
