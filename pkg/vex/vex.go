// SPDX-License-Identifier: GPL-2.0

// Package vex reports which vulnerabilities live patches have fixed on a machine, as an OpenVEX document
// (https://openvex.dev, version 0.2.0).
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

// Statement describes the status of a product with respect to a vulnerability.
type Statement struct {
	Vulnerability Vulnerability `json:"vulnerability"`
	Products      []Product     `json:"products"`
	Status        Status        `json:"status"`
	Notes         string        `json:"status_notes"`
	Action        string        `json:"action_statement,omitempty"` // for affected products
}

// Vulnerability is identified by its CVE id.
type Vulnerability struct {
	Name string `json:"name"`
}

// Product is a version of a source package.
type Product struct {
	ID          string      `json:"@id"`
	Identifiers Identifiers `json:"identifiers"`
}

// Identifiers contains the package URL of a product.
type Identifiers struct {
	PURL string `json:"purl"`
}

// Status is a status label of OpenVEX.
type Status string

// The labels that are used. Patches do not provide evidence that a product is not affected.
const (
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Machine is the subject of a document.
type Machine struct {
	Host   string
	System System
	Tool   string          // name and version of the generating tool
	Boots  map[string]bool // names of the patches that the kernel applies to processes as they start
	Time   time.Time       // taken before the scan, because later changes are not covered
	Blind  int             // patches that could not be read and may concern any process
}

// New creates the document for the result of a scan. It is nil if there is nothing to state, because an OpenVEX document must
// contain a statement. The output is deterministic.
//
// A product is fixed only if every process that maps a file changed by a patch for the product has the patch, no thread
// executes old code, and all processes could be inspected. There is no statement about a product that no process is known to
// use.
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

// uuidOf returns a UUID of version 8 (RFC 9562) derived from content, as an IRI.
func uuidOf(content []byte) string {
	u := sha256.Sum256(content)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// Unstated returns the names of the patches in a scan that list CVEs but not a package and its version, so that no product
// can be named.
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
