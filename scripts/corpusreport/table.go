// SPDX-License-Identifier: GPL-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// table prints a line for each result in the files.
func table(paths []string, out io.Writer) error {
	fmt.Fprint(out, "| package | from → to | fix | files: functions (new) | equal to Debian's by | result | build, s | service patched | longest stop, ms | seen by the client | answers, errors |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	count := map[string]int{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for d := json.NewDecoder(f); ; {
			var r result
			if err := d.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			count[r.Result]++
			if r.Live != nil {
				count["service "+r.Live.Result]++
			}
			fmt.Fprintln(out, r.row())
		}
	}
	_, err := fmt.Fprintf(out, "\nBuilt %d, refused %d, nothing to do %d, failed %d. Services patched and reverted under load %d, refused %d, failed %d.\n",
		count["built"], count["refused"], count["nothing"], count["failed"], count["service patched"], count["service refused"], count["service failed"])
	return err
}

// row is a line of the table.
func (r *result) row() string {
	fix := r.Fix
	if fix == "" {
		fix = fmt.Sprintf("all %d", len(r.Fixes))
	}
	var images, proofs []string
	for _, im := range r.Images {
		if !slices.Contains(proofs, im.Verified) {
			proofs = append(proofs, im.Verified)
		}
		if im.Result == "built" {
			images = append(images, fmt.Sprintf("%s: %s (%d)", filepath.Base(im.Image), abridge(im.Changed), len(im.Added)))
		}
	}
	cells := []string{r.Package, r.From + " → " + r.To, fix, strings.Join(images, "; "), strings.Join(proofs, "; "), r.outcome(), fmt.Sprintf("%.0f", r.BuildS), "-", "-", "-", "-"}
	if l := r.Live; l != nil {
		cells[7], cells[8] = l.Result, fmt.Sprintf("%.2f", l.StopMS)
		if l.Reason != "" {
			cells[7] += ": " + firstLine(l.Reason)
		}
		if l.Seen["before"] != "" {
			cells[9] = strings.Join([]string{l.Seen["before"], l.Seen["applied"], l.Seen["reverted"]}, ", ")
		}
		cells[10] = fmt.Sprintf("%d, %d", l.Answers, l.Errors)
	}
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", "\\|")
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// outcome is the result, with the codes of refusals.
func (r *result) outcome() string {
	codes := map[string]bool{}
	var list []string
	for _, im := range r.Images {
		for _, x := range im.Refusals {
			if !codes[x.Code] {
				codes[x.Code] = true
				list = append(list, x.Code)
			}
		}
	}
	switch {
	case len(list) > 0:
		return r.Result + ", " + strings.Join(list, ", ")
	case r.Result == "failed":
		return "failed: " + firstLine(r.Reason)
	}
	return r.Result
}

// abridge lists names, the first of them.
func abridge(names []string) string {
	if len(names) > 4 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if len(line) > 160 {
		line = strings.ToValidUTF8(line[:160], "") + "…"
	}
	return line
}
