// SPDX-License-Identifier: GPL-2.0

package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

const (
	product = "pkg:deb/debian/nginx@1.22.1-9?arch=source"
	later   = "; for what starts later, there are boot entries in the kernel"
)

// spec returns a patch of nginx that fixes CVEs.
func spec(name string, cves ...string) *patch.Spec {
	return &patch.Spec{Name: name, About: &patch.About{CVEs: cves, Package: "nginx", Version: "1.22.1-9", Fixed: "1.22.1-9+deb12u1"}}
}

// of returns a finding for a process and a patch.
func of(pid int, p *patch.Spec, state apply.ScanState, more ...func(*apply.Finding)) apply.Finding {
	f := apply.Finding{Process: proc.Process{PID: pid}, Service: "nginx.service", State: state, Patch: p}
	for _, do := range more {
		do(&f)
	}
	return f
}

func other(f *apply.Finding)  { f.Other = true }
func active(f *apply.Finding) { f.Active = 2 }
func by(p *patch.Spec) func(*apply.Finding) {
	return func(f *apply.Finding) { f.By = p }
}

func machine() Machine {
	return Machine{Host: "web1", System: System{"deb", "debian"}, Tool: "lpctl 9.9.9", Boots: map[string]bool{"a": true, "b": true, "c": true, "m": true},
		Time: time.Date(2026, 11, 30, 18, 0, 0, 5, time.FixedZone("", 3600))}
}

// TestStatus checks the status of CVE-2026-0001 in nginx for various scans.
func TestStatus(t *testing.T) {
	a, b, silent := spec("a", "CVE-2026-0001"), spec("b", "CVE-2026-0001"), spec("c")
	silent.About = nil
	mitigation := spec("m", "CVE-2026-0001")
	mitigation.Mitigation = &patch.Mitigation{}
	const patched, patchable, old, not, unknown = apply.ScanPatched, apply.ScanPatchable, apply.ScanOldInMemory, apply.ScanNotPatchable, apply.ScanUnknown
	const up, restart = "lpctl up patches what can be patched", "lpctl scan says why a process cannot be patched: restart it from fixed files"
	for _, c := range []struct {
		name string
		scan apply.Scan
		want string // status, notes, action
	}{
		{"each has it", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(2, a, patched)}},
			"fixed: of 2 processes with code changed by a, 2 patched in memory" + later + ": "},
		{"one lacks it", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(2, a, patchable)}},
			"affected: of 2 processes with code changed by a, 1 patched in memory" + later + ": " + up},
		{"one cannot have it", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(2, a, not), of(3, a, old)}},
			"affected: of 3 processes with code changed by a, 1 patched in memory" + later + ": " + restart},
		{"one was not seen", apply.Scan{Findings: []apply.Finding{of(1, a, patched)}, Unseen: []error{errors.New("x")}},
			"under_investigation: of 1 process with code changed by a, 1 patched in memory; 1 that may concern it could not be looked at" + later + ": "},
		{"one lacks it, one was not seen", apply.Scan{Findings: []apply.Finding{of(1, a, patchable)}, Unseen: []error{errors.New("x")}},
			"affected: of 1 process with code changed by a, 0 patched in memory; 1 that may concern it could not be looked at" + later + ": " + up},
		{"one has another build", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(2, a, unknown, other)}},
			"under_investigation: of 1 process with code changed by a, 1 patched in memory; 1 process has a file of that name in a build that no patch is for" + later + ": "},
		{"others have been replaced by other builds", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(2, a, old, other), of(3, a, old, other)}},
			"under_investigation: of 1 process with code changed by a, 1 patched in memory; 2 processes have a file of that name in a build that no patch is for" + later + ": "},
		{"only another build", apply.Scan{Findings: []apply.Finding{of(2, a, unknown, other)}, Unseen: []error{errors.New("x")}}, ""},
		{"nobody", apply.Scan{Processes: 3}, ""},
		{"calls in the old code", apply.Scan{Findings: []apply.Finding{of(1, a, patched, active)}},
			"affected: of 1 process with code changed by a, 0 patched in memory, 1 patched with calls under way in the code from before" + later +
				": calls under way have to leave the code from before, see lpctl status, or restart the program"},
		{"two patches for it, and one of them", apply.Scan{Findings: []apply.Finding{of(1, a, patched), of(1, b, patchable)}},
			"affected: of 1 process with code changed by a, b, 0 patched in memory" + later + ": " + up},
		{"displaced by one that fixes it", apply.Scan{Findings: []apply.Finding{of(1, b, patched)}, Displaced: []apply.Finding{of(1, a, patched, by(b))}},
			"fixed: of 1 process with code changed by a, b, 1 patched in memory" + later + ": "},
		{"displaced by one that does not say so", apply.Scan{Findings: []apply.Finding{of(1, silent, patched)}, Displaced: []apply.Finding{of(1, a, patched, by(silent))}},
			"affected: of 1 process with code changed by a, 0 patched in memory" + later + ": " + restart},
		{"displaced by one that is not applied", apply.Scan{Findings: []apply.Finding{of(1, silent, patchable)}, Displaced: []apply.Finding{of(1, a, patchable)}},
			"affected: of 1 process with code changed by a, 0 patched in memory" + later + ": " + up},
		{"mitigated", apply.Scan{Findings: []apply.Finding{of(1, mitigation, patched)}},
			"affected: of 1 process with code changed by m, 0 patched in memory" + later + ": get a patch that fixes it: what there is only mitigates"},
		{"displaced by a mitigation", apply.Scan{Displaced: []apply.Finding{of(1, a, patched, by(mitigation))}},
			"affected: of 1 process with code changed by a, 0 patched in memory" + later + ": " + restart},
		{"mitigated and fixed", apply.Scan{Findings: []apply.Finding{of(1, mitigation, patchable), of(1, a, patched)}},
			"fixed: of 1 process with code changed by a, m, 1 patched in memory" + later + ": "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if d := document(t, &c.scan, machine()); d != nil {
				s := d.Statements[0]
				got = fmt.Sprintf("%s: %s: %s", s.Status, s.Notes, s.Action)
				if len(d.Statements) != 1 || s.Vulnerability.Name != "CVE-2026-0001" || s.Products[0].ID != product {
					t.Errorf("%+v", d.Statements)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBlind checks that an unreadable patch may concern any product.
func TestBlind(t *testing.T) {
	m := machine()
	m.Blind, m.Boots = 1, nil
	d := document(t, &apply.Scan{Findings: []apply.Finding{of(1, spec("a", "CVE-2026-0001"), apply.ScanPatched)}}, m)
	const want = "of 1 process with code changed by a, 1 patched in memory; 1 that may concern it could not be looked at; for what starts later, patch a has no boot entry in the kernel"
	if s := d.Statements[0]; s.Status != UnderInvestigation || s.Notes != want {
		t.Errorf("%+v", s)
	}
}

// TestProducts checks that each version is a separate product, that unnamed products are omitted, and that the order is
// deterministic.
func TestProducts(t *testing.T) {
	a, newer, unnamed := spec("a", "CVE-2026-0002", "CVE-2026-0001"), spec("b", "CVE-2026-0001"), spec("z", "CVE-2026-0003")
	newer.About.Version = "1:1.22~rc1+b1"
	unnamed.About.Version = ""
	scan := &apply.Scan{Findings: []apply.Finding{of(1, unnamed, apply.ScanPatched), of(1, a, apply.ScanPatched), of(2, newer, apply.ScanPatchable), of(3, unnamed, apply.ScanPatched)}}
	first := document(t, scan, machine())
	var got []string
	for _, s := range first.Statements {
		got = append(got, fmt.Sprint(s.Vulnerability.Name, " ", s.Products[0].Identifiers.PURL, " ", s.Status))
	}
	want := []string{"CVE-2026-0001 pkg:deb/debian/nginx@1.22.1-9?arch=source fixed", "CVE-2026-0001 pkg:deb/debian/nginx@1:1.22~rc1%2Bb1?arch=source affected",
		"CVE-2026-0002 pkg:deb/debian/nginx@1.22.1-9?arch=source fixed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Unstated(scan); !slices.Equal(got, []string{"z"}) {
		t.Errorf("unstated: %v", got)
	}
	if first.Timestamp != "2026-11-30T17:00:00Z" || first.Author != "administrator of web1" || first.Tooling != "lpctl 9.9.9" {
		t.Errorf("%+v", first)
	}
	for range 8 {
		slices.Reverse(scan.Findings)
		if diff := cmp.Diff(first, document(t, scan, machine())); diff != "" {
			t.Fatal(diff)
		}
	}
	m := machine()
	m.Host = "web2"
	if d := document(t, scan, m); d.ID == first.ID {
		t.Error("documents of two machines have one id")
	}
}

func TestPURL(t *testing.T) {
	for _, c := range []struct{ release, name, version, want string }{
		{"ID=debian\n", "OpenSSL", "3.0.11-1~deb12u2", "pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=source"},
		{"NAME=x\nID=ubuntu\nID_LIKE=debian\n", "g++", "1:2^3", "pkg:deb/ubuntu/g%2B%2B@1:2%5E3?arch=source"},
		{"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "bash", "1:5.1-6.el9", "pkg:rpm/rocky/bash@5.1-6.el9?arch=src&epoch=1"},
		{"ID=fedora", "bash", "5.1-6", "pkg:rpm/fedora/bash@5.1-6?arch=src"},
		{"ID=arch\n", "bash", "5.1-6", "pkg:generic/bash@5.1-6"},
		{"", "bash", "5.1-6", "pkg:generic/bash@5.1-6"},
	} {
		if got := SystemOf(c.release).PURL(c.name, c.version); got != c.want {
			t.Errorf("%q %s: %s, want %s", c.release, c.name, got, c.want)
		}
	}
}

// document creates a document and validates it against the schema of OpenVEX 0.2.0.
func document(t *testing.T, scan *apply.Scan, m Machine) *Document {
	t.Helper()
	d, err := New(scan, m)
	if err != nil {
		t.Fatal(err)
	}
	if d == nil {
		return nil
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range violations(text) {
		t.Errorf("%s\n%s", wrong, text)
	}
	return d
}

// violations returns the differences from openvex_json_schema.json of https://github.com/openvex/spec.
func violations(text []byte) (list []string) {
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		return []string{err.Error()}
	}
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	fields := func(what string, of map[string]any, required, possible string) {
		for _, name := range strings.Fields(required) {
			bad(of[name] != nil, "%s has no %s", what, name)
		}
		for name := range of {
			bad(slices.Contains(strings.Fields(required+" "+possible), name), "%s has %s, which is not in the schema", what, name)
		}
	}
	iri := func(v any) bool {
		text, ok := v.(string)
		u, err := url.Parse(text)
		return ok && err == nil && u.Scheme != ""
	}
	fields("the document", d, "@context @id author timestamp version statements", "role last_updated tooling")
	bad(d["@context"] == "https://openvex.dev/ns/v0.2.0", "@context is %v", d["@context"])
	bad(iri(d["@id"]), "@id is %v", d["@id"])
	_, err := time.Parse(time.RFC3339, fmt.Sprint(d["timestamp"]))
	bad(err == nil, "timestamp: %v", err)
	bad(d["version"] == 1.0, "version is %v", d["version"])
	statements, _ := d["statements"].([]any)
	bad(len(statements) > 0, "no statement")
	seen := map[string]bool{}
	for _, one := range statements {
		s, _ := one.(map[string]any)
		again, _ := json.Marshal(s)
		bad(!seen[string(again)], "a statement is there twice")
		seen[string(again)] = true
		fields("a statement", s, "vulnerability status", "@id version timestamp last_updated products supplier status_notes justification impact_statement action_statement action_statement_timestamp")
		v, _ := s["vulnerability"].(map[string]any)
		fields("the vulnerability", v, "name", "@id description aliases")
		bad(slices.Contains([]any{"not_affected", "affected", "fixed", "under_investigation"}, s["status"]), "status is %v", s["status"])
		bad(s["status"] != "affected" || s["action_statement"] != nil, "what is affected has no action_statement")
		products, _ := s["products"].([]any)
		bad(len(products) > 0, "no product")
		for _, one := range products {
			p, _ := one.(map[string]any)
			fields("a product", p, "@id", "identifiers hashes subcomponents")
			ids, _ := p["identifiers"].(map[string]any)
			fields("identifiers", ids, "purl", "cpe22 cpe23")
			bad(iri(p["@id"]) && p["@id"] == ids["purl"], "a product's @id is %v", p["@id"])
		}
	}
	return list
}

// TestViolations checks that the validation detects errors.
func TestViolations(t *testing.T) {
	good := `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:uuid:1","author":"a","timestamp":"2026-11-30T17:00:00Z","version":1,` +
		`"statements":[{"vulnerability":{"name":"CVE-2026-0001"},"status":"fixed","products":[{"@id":"pkg:deb/debian/x@1","identifiers":{"purl":"pkg:deb/debian/x@1"}}]}]}`
	if list := violations([]byte(good)); len(list) > 0 {
		t.Error(list)
	}
	for _, change := range [][2]string{
		{`"author":"a",`, ""}, {`"author"`, `"writer"`}, {"urn:uuid:1", "1"}, {"17:00:00Z", "17:00"}, {`"version":1`, `"version":0`}, {`"fixed"`, `"done"`},
		{`"fixed"`, `"affected"`}, {`"purl"`, `"url"`}, {`"name"`, `"id"`}, {`"@id":"pkg`, `"id":"pkg`}, {"}]}]}", "}]}],}"},
	} {
		if list := violations([]byte(strings.Replace(good, change[0], change[1], 1))); len(list) == 0 {
			t.Errorf("%s for %s is not seen", change[1], change[0])
		}
	}
}
