// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/boot"
	"lpatch/pkg/explain"
	"lpatch/pkg/mitigate"
)

// files stands for the names of files, which the shell knows itself.
const files = ":files"

// valuesOf are what may stand behind an option, with whether that is known. Behind the others that take a text there may be a file.
func (h *host) valuesOf(option string) (values []string, known bool) {
	switch option {
	case "unit", "canary":
		list, _ := h.proc.Units() // what cannot be looked at is not offered
		return list, true
	case "by":
		return []string{"unit"}, true
	case "on-failure":
		return []string{string(boot.Run), string(boot.Kill)}, true
	case "returns":
		return mitigate.Types, true
	}
	return nil, false
}

// argumentsOf are what may stand behind a command.
func (h *host) argumentsOf(c *cli.Command) []string {
	switch name := strings.Join(c.Path()[1:], " "); name {
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "help":
		var list []string
		for _, sub := range c.Root().VisibleCommands() {
			list = append(list, sub.Name)
		}
		return list
	case "explain":
		var codes []string
		for _, e := range explain.All() {
			codes = append(codes, e.Code)
		}
		return append(codes, files)
	case "check", "load", "apply", "restore", "unload", "revert":
		return append(h.patchesInUse(), files)
	case "boot remove":
		return bootEntries(c)
	}
	if c.ArgsUsage == targetsUsage || c.ArgsUsage+c.UsageText == "" {
		return nil
	}
	return []string{files}
}

// complete tells a shell what may come next on a command line, of which it was given what is there: the last of it has a dash in front
// if it is an option that is not complete, or one without its value.
func (h *host) complete(ctx context.Context, c *cli.Command) {
	last := ""
	if args := c.Args().Slice(); len(args) > 0 {
		last = args[len(args)-1]
	}
	i := slices.IndexFunc(c.VisibleFlags(), func(f cli.Flag) bool { return slices.Contains(f.Names(), strings.TrimLeft(last, "-")) })
	switch {
	case strings.HasPrefix(last, "-") && i >= 0:
		h.offerValues(c, c.VisibleFlags()[i])
	case strings.HasPrefix(last, "-") || len(c.Commands) > 0:
		cli.DefaultCompleteWithFlags(ctx, c)
	default:
		offer(c, h.argumentsOf(c))
	}
}

func (h *host) offerValues(c *cli.Command, f cli.Flag) {
	if values, known := h.valuesOf(f.Names()[0]); known {
		offer(c, values)
		return
	}
	switch f.(type) {
	case *cli.StringFlag, *cli.StringSliceFlag:
		offer(c, []string{files})
	}
}

// offer prints words as the library prints options: what stands behind a colon is what they mean.
func offer(c *cli.Command, words []string) {
	for _, word := range words {
		if word != files {
			word = strings.ReplaceAll(word, ":", `\:`)
		}
		fmt.Fprintln(c.Root().Writer, word)
	}
}

// patchesInUse are those that targets have. Of what the kernel does not tell, nothing is offered.
func (h *host) patchesInUse() []string {
	k, err := h.connect()
	if err != nil {
		return nil
	}
	defer func() { _ = k.Close() }()
	list, err := k.Status()
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Patch)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func bootEntries(c *cli.Command) []string {
	entries, _ := boot.Registry{Root: c.String("root")}.List()
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}
