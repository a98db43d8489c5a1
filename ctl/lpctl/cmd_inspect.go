// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/table"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what a patch file changes",
		ArgsUsage: "NAME.lp",
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{&cli.BoolFlag{Name: "disassemble", Aliases: []string{"d"}, Usage: "show the new code", HideDefault: true}, wideFlag()},
			{jsonFlag()},
		}}},
		Action: inspect,
	}
}

// inspectJSON is what inspect --json prints: the file's descriptor, and what only the file itself tells.
type inspectJSON struct {
	*patch.Spec
	SHA256      string        `json:"sha256"`
	FileBuildID patch.Hex     `json:"file_build_id"`
	Segments    []segmentJSON `json:"segments"`
}

type segmentJSON struct {
	Vaddr uint64 `json:"vaddr"`
	Size  uint64 `json:"size"`
	Prot  string `json:"prot"`
}

func inspect(_ context.Context, c *cli.Command) error {
	path, err := argument(c, "the patch file, NAME.lp,")
	if err != nil {
		return err
	}
	f, err := patch.Open(path)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		out := inspectJSON{Spec: f.Spec, SHA256: hex.EncodeToString(f.SHA256[:]), FileBuildID: f.BuildID}
		for _, s := range f.Segments() {
			out.Segments = append(out.Segments, segmentJSON{s.Vaddr, s.Size, string(s.Prot)})
		}
		return printJSON(c.Writer, out)
	}
	if err := describe(c.Writer, f, tableWidth(c)); err != nil {
		return err
	}
	if c.Bool("disassemble") {
		return disassemble(c.Writer, f)
	}
	return nil
}

// describe prints what people want to know of a patch, in tables of at most limit columns of a terminal.
func describe(w io.Writer, f *patch.File, limit int) error {
	functions, values := count(f.Spec)
	fmt.Fprintf(w, "%s: %s\n", f.Spec.Name, strings.Join(changes(functions, values), ", "))
	if f.Spec.Description != "" {
		fmt.Fprintln(w, strings.ReplaceAll(strings.TrimSuffix(f.Spec.Description, "\n"), "\n", "\n  ")) // no line looks like one of ours
	}
	if f.Spec.About != nil || len(f.Spec.Upon) > 0 {
		fmt.Fprintln(w)
	}
	describeAbout(w, f.Spec)
	fmt.Fprintf(w, "\nbuilt by   %s\nbuild-id   %x\nsha256     %x\n", f.Spec.Tool, []byte(f.BuildID), f.SHA256)
	fmt.Fprintf(w, "in memory  %s; %s\n\n", segments(f), plural(len(f.Spec.Fixups), "fix-up"))

	var images [][]string
	for i, im := range f.Spec.Images {
		id := "none; SHA-256 " + hex.EncodeToString(im.SHA256)
		if len(im.BuildID) > 0 {
			id = hex.EncodeToString(im.BuildID)
		}
		images = append(images, []string{fmt.Sprint(i), im.Name, id})
	}
	if err := columns(w, limit, "IMAGE\tFILE\tBUILD-ID", images); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := sites(w, f, limit); err != nil || len(f.Spec.LeftOut) == 0 {
		return err
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, l := range f.Spec.LeftOut {
		rows = append(rows, []string{l.Object, l.Why})
	}
	return columns(w, limit, "LEFT OUT\tWHY", rows)
}

// segments lists the parts of the patch, as in "4096 r--, 8192 r-x bytes".
func segments(f *patch.File) string {
	var parts []string
	for _, s := range f.Segments() {
		parts = append(parts, fmt.Sprintf("%d %s", s.Size, s.Prot))
	}
	return strings.Join(parts, ", ") + " bytes"
}

// newSizes returns the sizes of the new functions, by where their sites lead: to them, or to the entry of a first call.
func newSizes(f *patch.File) map[uint64]uint64 {
	sizes, named := map[uint64]uint64{}, map[string]uint64{}
	for _, s := range f.Symbols() {
		sizes[s.Addr], named[s.Name] = s.Size, s.Size
	}
	for _, s := range f.Symbols() {
		if function, ok := strings.CutSuffix(s.Name, patch.FirstCallSuffix); ok {
			sizes[s.Addr] = named[function]
		}
	}
	return sizes
}

// sites prints what is overwritten: a table of functions, and one of values.
func sites(w io.Writer, f *patch.File, limit int) error {
	why, size := oldCode(f)
	newSize := newSizes(f)
	functions := &table.Table{Columns: []table.Column{
		{Head: "FUNCTION"}, {Head: "IMAGE"}, {Head: "AT"}, {Head: "OLD SIZE", Spare: true}, {Head: "NEW SIZE", Spare: true}, {Head: "WHY", Wrap: true},
	}}
	var values [][]string
	for _, s := range f.Spec.Sites {
		key := place{s.Image, s.Symbol}
		row := []string{names.Readable(s.Symbol), strconv.Itoa(s.Image), fmt.Sprintf("%#x", s.Vaddr)}
		if f.Spec.Passes(&s) {
			why[key] = "unchanged; it is in front of a patch below"
		}
		if s.Kind == patch.SiteJump {
			functions.Rows = append(functions.Rows, append(row, fmt.Sprint(size[key]), fmt.Sprint(newSize[s.Target]), names.InText(why[key])))
		} else {
			values = append(values, append(row, fmt.Sprintf("% x -> % x", []byte(s.Old), []byte(s.New))))
		}
	}
	if err := functions.Write(w, limit); err != nil {
		return err
	}
	if len(functions.Rows) > 0 && len(values) > 0 {
		fmt.Fprintln(w)
	}
	return columns(w, limit, "VALUE\tIMAGE\tAT\tBYTES", values)
}

// place names a function or value in an image.
type place struct {
	image  int
	symbol string
}

// oldCode returns why each function is in the patch, and the bytes of its old bodies.
func oldCode(f *patch.File) (why map[place]string, size map[place]uint64) {
	why, size = map[place]string{}, map[place]uint64{}
	for _, fn := range f.Spec.Functions {
		key := place{fn.Image, fn.Symbol}
		why[key] = fn.Why
		for _, b := range fn.Bodies {
			size[key] += b.End - b.Start
		}
	}
	return why, size
}
