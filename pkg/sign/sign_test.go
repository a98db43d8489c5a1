// SPDX-License-Identifier: GPL-2.0

package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/testutil/signtest"
)

var testMessage = []byte("what is signed")

// newSigner returns a certificate for a key that is valid for two hours, starting an hour ago.
func newSigner(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	return signtest.Certificate(t, key, template)
}

func testKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ecdsa": e}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOpenSSL checks that openssl verifies the output of Make, and that Check accepts signatures made with openssl as
// documented.
func TestOpenSSL(t *testing.T) {
	for name, key := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			cert := newSigner(t, key)
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			writePEM(t, at("key"), "PRIVATE KEY", der)
			writePEM(t, at("cert"), "CERTIFICATE", cert.Raw)
			ours, err := Make(testMessage, key, cert)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(at("message"), testMessage, 0o600), os.WriteFile(at("ours"), ours, 0o600)); err != nil {
				t.Fatal(err)
			}
			openssl(t, "cms", "-verify", "-binary", "-inform", "DER", "-in", at("ours"), "-content", at("message"),
				"-certfile", at("cert"), "-CAfile", at("cert"), "-purpose", "any", "-out", os.DevNull)
			openssl(t, "cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", "sha256", "-in", at("message"),
				"-signer", at("cert"), "-inkey", at("key"), "-outform", "DER", "-out", at("theirs"))
			theirs, err := os.ReadFile(at("theirs"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Check(theirs, testMessage, []*x509.Certificate{cert}, time.Now()); err != nil {
				t.Fatal(err)
			}
			// RSA signatures are deterministic, so that the messages must be equal
			if name == "rsa" && !bytes.Equal(ours, theirs) {
				t.Errorf("a signature\n%x\nis not what openssl makes\n%x", ours, theirs)
			}
		})
	}
}

func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestCheck(t *testing.T) {
	keys := testKeys(t)
	key := keys["ecdsa"]
	cert := newSigner(t, key)
	good, err := Make(testMessage, key, cert)
	if err != nil {
		t.Fatal(err)
	}
	trusted := []*x509.Certificate{newSigner(t, keys["rsa"]), cert}
	trusted[0].SerialNumber = big.NewInt(8)
	impostor := newSigner(t, keys["rsa"]) // same name and serial number
	for _, c := range []struct {
		name      string
		signature []byte
		message   []byte
		certs     []*x509.Certificate
		after     time.Duration
		want      string
	}{
		{"right", good, testMessage, trusted, 0, ""},
		{"message", good, []byte("something else"), trusted, 0, "the signature does not fit the patch"},
		{"key", good, testMessage, []*x509.Certificate{impostor}, 0, "the signature does not fit the patch"},
		{"unknown", good, testMessage, trusted[:1], 0, "none of the certificates given is the signer's, which has the serial number 7"},
		{"garbage", []byte("garbage"), testMessage, trusted, 0, "what is appended to the file is no valid signature"},
		{"expired", good, testMessage, trusted, 2 * time.Hour, `the certificate of "signer" expired on `},
		{"early", good, testMessage, trusted, -2 * time.Hour, `the certificate of "signer" is valid only from `},
	} {
		_, err := Check(c.signature, c.message, c.certs, time.Now().Add(c.after))
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Make(testMessage, keys["rsa"], cert); err == nil || err.Error() != "the certificate is not that of the private key" {
		t.Errorf("another key: %v", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Make(testMessage, ed, newSigner(t, ed))
	if want := "keys of type Ed25519 are not possible: the kernel verifies RSA and ECDSA"; err == nil || err.Error() != want {
		t.Errorf("Ed25519: %v, want %s", err, want)
	}
}

func TestSplit(t *testing.T) {
	content, signature := []byte("content"), []byte("signature")
	file := Append(content, signature)
	c, s, err := Split(file)
	if err != nil || !bytes.Equal(c, content) || !bytes.Equal(s, signature) {
		t.Fatalf("%q and %q, %v", c, s, err)
	}
	if c, s, err := Split(content); err != nil || s != nil || !bytes.Equal(c, content) {
		t.Fatalf("without a signature: %q and %q, %v", c, s, err)
	}
	end := len(content) + len(signature)
	for at := range infoSize {
		bad := bytes.Clone(file)
		bad[end+at] ^= 0x80
		if _, _, err := Split(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("byte %d of the end is not looked at: %v", at, err)
		}
	}
	for _, bad := range [][]byte{[]byte(marker), file[end:], Append(content, nil)} {
		if _, _, err := Split(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
