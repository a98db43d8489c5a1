// SPDX-License-Identifier: GPL-2.0

package vex

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/apply"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// key is what a statement is about.
type key struct{ cve, product string }

// claim is what can be said of one vulnerability in one product.
type claim struct {
	cve    string
	of     map[proc.Process][]apply.Finding // by process: those of the patches that are for it
	unseen int                              // processes and patches that could not be looked at
}

// names tells whether it is said of which version of which package a patch is.
func names(a *patch.About) bool { return a.Package != "" && a.Version != "" }

// findings are all: a patch that another one has displaced was for something, too, and the other one need not fix that.
func findings(scan *apply.Scan) []apply.Finding { return slices.Concat(scan.Findings, scan.Displaced) }

// claims gathers findings by what they are about.
func claims(scan *apply.Scan, system System) map[key]*claim {
	all := map[key]*claim{}
	for _, f := range findings(scan) {
		a := f.Patch.About
		if a == nil || !names(a) {
			continue
		}
		product := system.PURL(a.Package, a.Version)
		for _, cve := range a.CVEs {
			k := key{cve, product}
			if all[k] == nil {
				all[k] = &claim{cve: cve, of: map[proc.Process][]apply.Finding{}}
			}
			all[k].of[f.Process] = append(all[k].of[f.Process], f)
		}
	}
	return all
}

// fixes tells whether what is applied in place of a patch, or the patch, is known to fix the vulnerability.
func (c *claim) fixes(f apply.Finding) bool {
	if f.State != apply.ScanPatched {
		return false
	}
	return f.By == nil || f.By.About != nil && f.By.Mitigation == nil && slices.Contains(f.By.About.CVEs, c.cve)
}

// counts are numbers of processes.
type counts struct {
	fixed, lacking, active, mitigated int
	patchable                         int // of those that lack a patch
	other                             int // have a file of that name, and nobody knows whether that is vulnerable
}

// vulnerable are the processes that have the vulnerable code.
func (n counts) vulnerable() int { return n.lacking + n.active + n.mitigated }

func (c *claim) count() (n counts) {
	for _, list := range c.of {
		c.add(&n, list)
	}
	return n
}

// add counts one process. A mitigation is no fix: alone, it has the process counted as one that has none.
func (c *claim) add(n *counts, list []apply.Finding) {
	known := slices.DeleteFunc(slices.Clone(list), func(f apply.Finding) bool { return f.Other })
	fixes := slices.DeleteFunc(slices.Clone(known), func(f apply.Finding) bool { return f.Patch.Mitigation != nil })
	if len(known) < len(list) {
		n.other++
	}
	switch {
	case len(known) == 0:
	case len(fixes) == 0:
		n.mitigated++
	case slices.ContainsFunc(fixes, func(f apply.Finding) bool { return !c.fixes(f) }):
		n.lacking++
		if slices.ContainsFunc(fixes, func(f apply.Finding) bool { return f.State == apply.ScanPatchable }) {
			n.patchable++
		}
	case slices.ContainsFunc(fixes, func(f apply.Finding) bool { return f.Active > 0 }):
		n.active++
	default:
		n.fixed++
	}
}

// statement says it, but for what it is about. There is none if nobody is known to have the product.
func (c *claim) statement(boots map[string]bool) (Statement, bool) {
	n := c.count()
	total := n.fixed + n.vulnerable()
	if total == 0 {
		return Statement{}, false
	}
	text := fmt.Sprintf("of %s with code changed by %s, %d patched in memory", processes(total), strings.Join(c.patches(), ", "), n.fixed)
	if n.active > 0 {
		text += fmt.Sprintf(", %d patched with calls under way in the code from before", n.active)
	}
	if n.other > 0 {
		have := "have"
		if n.other == 1 {
			have = "has"
		}
		text += fmt.Sprintf("; %s %s a file of that name in a build that no patch is for", processes(n.other), have)
	}
	if c.unseen > 0 {
		text += fmt.Sprintf("; %d that may concern it could not be looked at", c.unseen)
	}
	s := Statement{Status: Fixed, Notes: text + "; " + c.later(boots)}
	switch {
	case n.vulnerable() > 0:
		s.Status, s.Action = Affected, n.action()
	case n.other+c.unseen > 0:
		s.Status = UnderInvestigation
	}
	return s, true
}

// patches names those that are for it.
func (c *claim) patches() []string {
	set := map[string]bool{}
	for _, list := range c.of {
		for _, f := range list {
			set[f.Patch.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// later says what becomes of processes that start.
func (c *claim) later(boots map[string]bool) string {
	for _, name := range c.patches() {
		if !boots[name] {
			return "for what starts later, patch " + name + " has no boot entry in the kernel"
		}
	}
	return "for what starts later, there are boot entries in the kernel"
}

// action is what to do where the vulnerability is.
func (n counts) action() string {
	var list []string
	if n.patchable > 0 {
		list = append(list, "lpctl up patches what can be patched")
	}
	if n.lacking > n.patchable {
		list = append(list, "lpctl scan says why a process cannot be patched: restart it from fixed files")
	}
	if n.active > 0 {
		list = append(list, "calls under way have to leave the code from before, see lpctl status, or restart the program")
	}
	if n.mitigated > 0 {
		list = append(list, "get a patch that fixes it: what there is only mitigates")
	}
	return strings.Join(list, "; ")
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}
