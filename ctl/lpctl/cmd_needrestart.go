// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/deb"
	"lpatch/pkg/names"
	"lpatch/pkg/restart"
)

// restartJSON is a process, as needrestart --json prints it.
type restartJSON struct {
	PID     int    `json:"pid"`
	Comm    string `json:"comm"`
	Service string `json:"service"`
	Restart bool   `json:"restart"` // it needs one, or that is not known
	Message string `json:"message"`
}

func (h *host) needrestartCommand() *cli.Command {
	return &cli.Command{
		Name:  "needrestart",
		Usage: "show which patched processes need no restart though their files were replaced",
		Description: "After an upgrade: a process needs none if each file of it that was replaced is changed by patches that have all\n" +
			"that the installed version fixes, by what they and the package's changelog say. In doubt it needs one.",
		MutuallyExclusiveFlags: tableFlags(),
		Action:                 h.needrestart,
	}
}

func (h *host) needrestart(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	status, err := k.Status()
	if err != nil {
		return err
	}
	session := apply.New(k, h.proc)
	status = session.Recount(status)
	found, err := session.Scan(apply.WithApplied(nil, status, h.aboutsOf(status)), apply.Selection{}, false)
	if err != nil {
		return err
	}
	list := restart.Judge(found.Live, deb.System{Root: h.registry.Root})
	if len(list) == 0 {
		return unmatched("no file was replaced below a process that is patched", false, true)
	}
	return printRestarts(c, list)
}

func printRestarts(c *cli.Command, list []restart.Verdict) error {
	var rows [][]string
	for _, v := range list {
		if c.Bool("json") {
			if err := printJSON(c.Writer, restartJSON{v.Process.PID, v.Process.Comm, v.Service, v.Needed, v.Why}); err != nil {
				return err
			}
			continue
		}
		needed := "no"
		if v.Needed {
			needed = "yes"
		}
		// needrestart's configuration reads the first two columns.
		rows = append(rows, []string{fmt.Sprint(v.Process.PID), needed, names.Visible(v.Process.Comm), names.Visible(v.Service), names.Visible(v.Why)})
	}
	return columns(c.Writer, tableWidth(c), "PID\tRESTART\tCOMM\tSERVICE\tWHY", rows)
}
