// SPDX-License-Identifier: GPL-2.0

// Package vex tells other tools what live patches have fixed on a machine: as an OpenVEX document (https://openvex.dev, version 0.2.0).
package vex

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/apply"
)

// Document is an OpenVEX document.
type Document struct {
	Context    string      `json:"@context"`
	ID         string      `json:"@id"`
	Author     string      `json:"author"`
	Role       string      `json:"role"`
	Timestamp  string      `json:"timestamp"`
	Version    int         `json:"version"`
	Tooling    string      `json:"tooling"`
	Statements []Statement `json:"statements"`
}

// Statement says how a product stands with a vulnerability.
type Statement struct {
	Vulnerability Vulnerability `json:"vulnerability"`
	Products      []Product     `json:"products"`
	Status        Status        `json:"status"`
	Notes         string        `json:"status_notes"`
	Action        string        `json:"action_statement,omitempty"` // of what is affected
}

// Vulnerability is named by its CVE id.
type Vulnerability struct {
	Name string `json:"name"`
}

// Product is a source package in one version.
type Product struct {
	ID          string      `json:"@id"`
	Identifiers Identifiers `json:"identifiers"`
}

// Identifiers has the product's package URL.
type Identifiers struct {
	PURL string `json:"purl"`
}

// Status is one of the labels of OpenVEX.
type Status string

// These are claimed. That a product is not affected a patch does not say.
const (
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Machine is what a document is about.
type Machine struct {
	Host   string
	System System
	Tool   string          // that makes the document, with its version
	Boots  map[string]bool // names of the patches that the kernel applies to what starts
	Time   time.Time       // before the processes were looked for: of what came later nothing is said
	Blind  int             // patches that could not be read: nobody knows whom they concern
}

// New makes the document of what a look at all processes has found. It is nil if there is nothing to state: OpenVEX has no document
// without a statement. The same input gives the same document.
//
// A product is fixed only if every process that maps what a patch for it changes has the patch, no thread is in code from before,
// and all processes could be looked at. Of a product that no process is known to have, nothing is stated: there nothing is patched.
func New(scan *apply.Scan, m Machine) (*Document, error) {
	d := &Document{
		Context: "https://openvex.dev/ns/v0.2.0", Author: "administrator of " + m.Host, Role: "report of the machine about what runs on it",
		Timestamp: m.Time.UTC().Format(time.RFC3339), Version: 1, Tooling: m.Tool,
	}
	for k, c := range claims(scan, m.System) {
		c.unseen = len(scan.Unseen) + m.Blind
		if s, ok := c.statement(m.Boots); ok {
			s.Vulnerability, s.Products = Vulnerability{k.cve}, []Product{{k.product, Identifiers{k.product}}}
			d.Statements = append(d.Statements, s)
		}
	}
	if len(d.Statements) == 0 {
		return nil, nil
	}
	slices.SortFunc(d.Statements, func(a, b Statement) int {
		return cmp.Or(strings.Compare(a.Vulnerability.Name, b.Vulnerability.Name), strings.Compare(a.Products[0].ID, b.Products[0].ID))
	})
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	d.ID = uuidOf(append([]byte(m.Host+"\n"), text...))
	return d, nil
}

// uuidOf is a name made of content: a UUID of version 8 (RFC 9562), as an IRI.
func uuidOf(content []byte) string {
	u := sha256.Sum256(content)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// Unstated are the names of patches of a look at processes that say which CVEs they fix, and not of which version of which package: no
// product can be named.
func Unstated(scan *apply.Scan) []string {
	var list []string
	for _, f := range findings(scan) {
		if a := f.Patch.About; a != nil && len(a.CVEs) > 0 && !names(a) {
			list = append(list, f.Patch.Name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
