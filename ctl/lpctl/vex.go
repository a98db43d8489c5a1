// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/version"
	"lpatch/pkg/vex"
)

func vexFlag() cli.Flag {
	return &cli.BoolFlag{Name: "vex", HideDefault: true,
		Usage: "print which CVEs are fixed in what runs on this machine, as an OpenVEX document"}
}

// showVEX prints what patches have fixed on this machine. They are those of the boot entries, and those that processes have.
func (h *host) showVEX(c *cli.Command, sel apply.Selection) error {
	if !sel.Empty() || c.Bool("allow-none") {
		return errors.New("--vex tells of the whole machine; leave all other options but --quiet out")
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info()
	if err != nil {
		return err
	}
	boots, err := k.Boots()
	if err != nil {
		return err
	}
	m, err := h.vexMachine()
	if err != nil {
		return err
	}
	m.Boots = map[string]bool{}
	for _, b := range boots {
		m.Boots[b.Patch] = true
	}
	status, err := k.Status()
	if err != nil {
		return err
	}
	session := apply.New(k, h.proc)
	status = session.Recount(status)
	patches, bad := apply.OpenPatches(h.registry, nil)
	found, err := session.Scan(apply.WithApplied(patches, status, h.aboutsOf(status)), apply.Selection{}, info.SignatureRequired)
	if err != nil {
		return err
	}
	m.Blind = len(bad)
	return printVEX(c, found, m, bad)
}

// vexMachine is what a document says of where it is from.
func (h *host) vexMachine() (vex.Machine, error) {
	name, err := os.Hostname()
	if err != nil {
		return vex.Machine{}, err
	}
	release, err := os.ReadFile(filepath.Join(h.registry.Root, "etc/os-release"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return vex.Machine{}, err
	}
	return vex.Machine{Host: name, System: vex.SystemOf(string(release)), Tool: "lpctl " + version.Number, Time: time.Now()}, nil
}

func printVEX(c *cli.Command, found *apply.Scan, m vex.Machine, bad []error) error {
	d, err := vex.New(found, m)
	if err != nil {
		return err
	}
	if d != nil {
		if err := printJSON(c.Writer, d); err != nil {
			return err
		}
	}
	for _, name := range vex.Unstated(found) {
		fmt.Fprintf(c.ErrWriter, "lpctl: nothing is stated of patch %s, which does not say of which version of which package it is; build it with --package and --package-version\n", name)
	}
	all := reportUnseen(c, found.Unseen)
	switch {
	case len(bad) > 0:
		return errors.Join(bad...)
	case d == nil && len(all) == 0:
		return unmatched("no process is known to have what a patch is for that names CVEs and a package", c.Bool("quiet"), true)
	}
	return exitWith(append(all, exitDone))
}
