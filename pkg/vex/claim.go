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

// key identifies the subject of a statement.
type key struct{ cve, product string }

// claim is the information about one vulnerability in one product.
type claim struct {
	cve    string
	of     map[proc.Process][]apply.Finding // findings of the relevant patches, by process
	unseen int                              // number of processes and patches that could not be inspected
}

// names reports whether a patch states its package and version.
func names(a *patch.About) bool { return a.Package != "" && a.Version != "" }

// findings returns all findings, including those for displaced patches: the displacing patch need not contain the same fix.
func findings(scan *apply.Scan) []apply.Finding { return slices.Concat(scan.Findings, scan.Displaced) }

// claims groups findings by subject.
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

// fixes reports whether the patch, or the patch applied in its place, is known to fix the vulnerability.
func (c *claim) fixes(f apply.Finding) bool {
	if f.State != apply.ScanPatched {
		return false
	}
	return f.By == nil || f.By.About != nil && f.By.Mitigation == nil && slices.Contains(f.By.About.CVEs, c.cve)
}

// counts contains numbers of processes.
type counts struct {
	fixed, lacking, active, mitigated int
	patchable                         int // subset of lacking
	other                             int // processes with another build of the file, whose vulnerability is not known
}

// vulnerable returns the number of processes with vulnerable code.
func (n counts) vulnerable() int { return n.lacking + n.active + n.mitigated }

func (c *claim) count() (n counts) {
	for _, list := range c.of {
		c.add(&n, list)
	}
	return n
}

// add counts one process. A mitigation is not a fix: a process that only has a mitigation counts as mitigated.
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

// statement returns the statement without its subject. ok is false if no process is known to use the product.
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

// patches returns the names of the relevant patches.
func (c *claim) patches() []string {
	set := map[string]bool{}
	for _, list := range c.of {
		for _, f := range list {
			set[f.Patch.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// later describes what happens to processes that start later.
func (c *claim) later(boots map[string]bool) string {
	for _, name := range c.patches() {
		if !boots[name] {
			return "for what starts later, patch " + name + " has no boot entry in the kernel"
		}
	}
	return "for what starts later, there are boot entries in the kernel"
}

// action describes the remedy for affected processes.
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
