// SPDX-License-Identifier: GPL-2.0

// Package signtest creates certificates for tests.
package signtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"testing"
)

// Certificate returns a self-signed certificate of a key. The template provides all other fields.
func Certificate(t testing.TB, key crypto.Signer, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
