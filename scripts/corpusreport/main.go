// SPDX-License-Identifier: GPL-2.0

// Command corpusreport makes sense of what scripts/corpus-run has collected.
//
//	corpusreport one -source S -from V -to V [-fix F] DIR	prints a JSON object of what lpctl and the machine said
//	corpusreport patched packages|paths FILE		prints which packages, or files of them, have patches
//	corpusreport table FILE…				prints a table of such objects, as Markdown
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// result is what scripts/corpus-run prints.
type result struct {
	Package string   `json:"package"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Fix     string   `json:"fix"`   // as asked for, "" for all
	Fixes   []string `json:"fixes"` // patches applied to the source
	LeftOut []string `json:"left_out"`
	Result  string   `json:"result"` // built, refused, nothing, failed
	Reason  string   `json:"reason"`
	BuildS  float64  `json:"build_s"` // both builds; of the new source alone if the old one was there
	Images  []image  `json:"images"`  // those that the fix concerns
	Files   int      `json:"files"`   // programs and libraries that were compared
	Live    *live    `json:"live"`    // nil: not tried
}

// image is a line of lpctl build deb --json.
type image struct {
	Image    string   `json:"image"`
	Names    []string `json:"names"`
	Verified string   `json:"verified"`
	Patch    string   `json:"patch"`
	Result   string   `json:"result"`
	Changed  []string `json:"changed"`
	Added    []string `json:"added"`
	Fixes    []string `json:"fixes"`
	LeftOut  []string `json:"left_out"`
	BuildS   float64  `json:"build_s"`
	Refusals []struct {
		Code    string `json:"code"`
		Symbol  string `json:"symbol"`
		Message string `json:"message"`
	} `json:"refusals"`
}

// live is what came of patching the running service.
type live struct {
	Result  string            `json:"result"` // patched, refused, failed
	Reason  string            `json:"reason"`
	Kernel  string            `json:"kernel"`
	Applied []string          `json:"applied"` // patches
	StopMS  float64           `json:"stop_ms"` // the longest stop of all operations
	Seen    map[string]string `json:"seen"`    // phase -> old or fixed, as far as a client sees it
	Answers int               `json:"answers"` // rounds of the client that went well
	Errors  int               `json:"errors"`

	reverted int // patches
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "corpusreport:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) > 1 && args[0] == "table" {
		return table(args[1:], out)
	}
	if len(args) == 3 && args[0] == "patched" {
		return patched(args[1] == "packages", args[2], out)
	}
	if len(args) == 0 || args[0] != "one" {
		return errors.New("usage: corpusreport one … DIR | patched packages|paths FILE | table FILE…")
	}
	var r result
	flags := flag.NewFlagSet("one", flag.ExitOnError)
	flags.StringVar(&r.Package, "source", "", "")
	flags.StringVar(&r.From, "from", "", "")
	flags.StringVar(&r.To, "to", "", "")
	flags.StringVar(&r.Fix, "fix", "", "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := r.read(flags.Arg(0)); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return err
	}
	if r.Result == "failed" || r.Live != nil && r.Live.Result == "failed" {
		return errors.New("something went wrong: see reason")
	}
	return nil
}

// read reads what corpus-run left in a directory.
func (r *result) read(dir string) error {
	r.Fixes, r.LeftOut, r.Images = []string{}, []string{}, []image{}
	status, err := os.ReadFile(filepath.Join(dir, "build-status"))
	if err != nil {
		return err
	}
	if err := r.readImages(filepath.Join(dir, "images")); err != nil {
		return err
	}
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if err != nil {
		return err
	}
	r.judge(strings.TrimSpace(string(status)), strings.TrimSpace(string(said)))
	guest, err := os.ReadFile(filepath.Join(dir, "guest"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.Live = readGuest(string(guest))
	return err
}

func (r *result) readImages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var im image
		if err := d.Decode(&im); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.Files++
		r.Fixes, r.LeftOut, r.BuildS = im.Fixes, im.LeftOut, im.BuildS
		if im.Result != "nothing" {
			r.Images = append(r.Images, im)
		}
	}
}

// patched lists what lpctl has made patches for: the packages, or the paths of the files with all their names.
func patched(packages bool, path string, out io.Writer) error {
	var r result
	if err := r.readImages(path); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, im := range r.Images {
		for _, name := range im.Names {
			pkg, path, _ := strings.Cut(name, "/")
			what := "/" + path
			if packages {
				what = pkg
			}
			if im.Result == "built" && !seen[what] {
				seen[what] = true
				fmt.Fprintln(out, what)
			}
		}
	}
	return nil
}

// judge sums up the build by lpctl's exit status.
func (r *result) judge(status, said string) {
	var reasons []string
	for _, im := range r.Images {
		for _, x := range im.Refusals {
			reasons = append(reasons, fmt.Sprintf("%s: %s: %s [%s]", filepath.Base(im.Image), x.Symbol, x.Message, x.Code))
		}
	}
	r.Reason = strings.Join(reasons, "\n")
	switch status {
	case "0", "4":
		r.Result = "built"
	case "2":
		r.Result = "refused"
	case "3":
		r.Result, r.Reason = "nothing", lastLine(said)
	default:
		r.Result, r.Reason = "failed", lastLine(said)
		if i := strings.LastIndex(said, "\nlpctl: "); i >= 0 {
			r.Reason = said[i+1:]
		}
	}
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// readGuest reads the lines of scripts/corpus.d/guest.sh.
func readGuest(text string) *live {
	l := &live{Result: "failed", Reason: "the machine ended before its time: " + lastLine(strings.TrimSpace(text)), Seen: map[string]string{}}
	refused := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, ok := strings.CutPrefix(lines.Text(), "corpus: ")
		if !ok {
			continue
		}
		what, rest, _ := strings.Cut(line, " ")
		f := strings.Fields(rest)
		switch {
		case what == "seen" && len(f) == 2:
			l.Seen[f[0]] = f[1]
		case (what == "apply" || what == "revert") && len(f) >= 2:
			refused = l.operation(what, f[0], f[1], rest, refused)
		case what == "said" && refused == "":
			refused = rest
		case what == "client":
			_, _ = fmt.Sscan(rest, &l.Answers, &l.Errors)
		case what == "kernel":
			l.Kernel = rest
		case what == "failed":
			l.Reason = rest
		case what == "done":
			l.Result, l.Reason = "patched", ""
		}
	}
	l.judge(refused)
	return l
}

// judge sums up what the machine said. refused is the first reason of lpctl against anything.
func (l *live) judge(refused string) {
	seen := l.Seen["before"] + " " + l.Seen["applied"] + " " + l.Seen["reverted"]
	switch {
	case l.Result == "failed":
	case l.Errors > 0:
		l.Result, l.Reason = "failed", fmt.Sprintf("%d rounds of the client failed", l.Errors)
	case len(l.Applied) == 0:
		l.Result, l.Reason = "refused", cmp.Or(refused, "no process of the service uses what the patch changes")
	case l.reverted < len(l.Applied):
		l.Result, l.Reason = "failed", "not reverted: "+refused
	case l.Seen["before"] != "" && seen != "old fixed old":
		l.Result, l.Reason = "failed", "the client saw "+seen
	}
}

// operation notes one call of lpctl and returns why it was refused, if it is the first that was.
func (l *live) operation(verb, name, status, rest, refused string) string {
	for d := json.NewDecoder(strings.NewReader(rest[max(strings.IndexByte(rest, '{'), 0):])); ; {
		var target struct {
			StopNS int64 `json:"stop_ns"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if d.Decode(&target) != nil {
			break
		}
		switch {
		case target.Error == nil:
			l.StopMS = max(l.StopMS, float64(target.StopNS)/1e6)
		case refused == "":
			refused = target.Error.Message
		}
	}
	switch verb + " " + status {
	case "apply 0", "apply 6": // 6: calls that were under way finish in the old code
		l.Applied = append(l.Applied, strings.TrimSuffix(name, ".lp"))
	case "revert 0", "revert 6":
		l.reverted++
	}
	return refused
}
