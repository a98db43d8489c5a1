package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
)

// corpusDir finds the objects of real security fixes: LPATCH_CORPUS, or ../shared/corpus beside the repository; a folder
// or the archive that holds it.
func corpusDir(t *testing.T) string {
	path := os.Getenv("LPATCH_CORPUS")
	if path == "" {
		path = "../../../shared/corpus/corpus.tar.xz"
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Skipf("no corpus of real objects (set LPATCH_CORPUS): %v", err)
	}
	if st.IsDir() {
		return path
	}
	dir := t.TempDir()
	if out, err := exec.Command("tar", "xf", path, "-C", dir).CombinedOutput(); err != nil {
		t.Skipf("tar: %v\n%s", err, out)
	}
	return filepath.Join(dir, "corpus")
}

// withSymbols adds the symbol table of a debug file to a stripped file, whatever their build-ids: the corpus has debug
// files of rebuilds whose code is known to be the stock code.
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

// corpusTargets are the files that the objects of each package are part of.
var corpusTargets = map[string][]string{
	"redis": {"redis-check-rdb"}, "haproxy": {"haproxy"}, "libxml2": {"libxml2.so.2.9.14"}, "xz-utils": {"liblzma.so.5.4.1"},
	"curl": {"libcurl.so.4.8.0", "libcurl-gnutls.so.4.8.0"}, "unbound": {"unbound", "libunbound.so.8.1.21", "unbound-anchor"},
	"libevent": {"libevent-2.1.so.7.0.1", "libevent_openssl-2.1.so.7.0.1"},
}

// corpus is the folder of objects of real fixes, with their targets.
type corpus struct {
	root   string
	merged map[string]string // stock file -> the same with the symbols of its debug file
}

// corpusPair is a fix, for one of the files that its package has.
type corpusPair struct {
	pkg, name, target string
	options           Options
}

func openCorpus(t *testing.T) *corpus {
	return &corpus{root: corpusDir(t), merged: map[string]string{}}
}

// each calls f for every pair and target.
func (c *corpus) each(t *testing.T, f func(corpusPair)) {
	t.Helper()
	pairs, err := filepath.Glob(filepath.Join(c.root, "*", "objects", "*"))
	if err != nil || len(pairs) == 0 {
		t.Fatalf("no pairs in %s: %v", c.root, err)
	}
	sort.Strings(pairs)
	for _, p := range pairs {
		pkg := filepath.Base(filepath.Dir(filepath.Dir(p)))
		for _, target := range corpusTargets[pkg] {
			o := Options{
				Target: filepath.Join(c.root, pkg, "stock", target), Symbols: filepath.Join(c.root, pkg, "twin", target),
				Old: []string{p + "/old"}, New: []string{p + "/new"}, Name: "test", Tool: "test",
			}
			if pkg == "haproxy" {
				o.Old, o.New = o.New, o.Old // its pairs end at the stock version
			}
			f(corpusPair{pkg, filepath.Base(p), target, o})
		}
	}
}

// build builds a patch with the twin's symbols.
func (c *corpus) build(t *testing.T, p corpusPair) (*Result, error) {
	t.Helper()
	o := p.options
	stock := o.Target
	res, err := FromObjects(o)
	if err != nil && strings.Contains(err.Error(), "not the same program") {
		// The rebuild differs from the stock file in a version number; it is a whole program itself.
		o.Target, o.Symbols = o.Symbols, ""
		res, err = FromObjects(o)
	}
	if err != nil && strings.Contains(err.Error(), "another build than") {
		if c.merged[stock] == "" {
			c.merged[stock] = withSymbols(t, stock, o.Symbols)
		}
		o.Target, o.Symbols = c.merged[stock], ""
		res, err = FromObjects(o)
	}
	return res, err
}

// TestCorpus builds every pair of the corpus and prints what came of it.
func TestCorpus(t *testing.T) {
	c := openCorpus(t)
	counts := map[string]int{}
	c.each(t, func(p corpusPair) {
		res, err := c.build(t, p)
		kind, text := verdict(res, err)
		counts[p.pkg+" "+kind]++
		t.Logf("%-8s %-30.30s %-24s %s: %s", p.pkg, p.name, p.target, kind, text)
		if kind == "error" {
			t.Errorf("%s: %v", p.name, err)
		}
	})
	for k, n := range counts {
		t.Logf("%-20s %d", k, n)
	}
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
