// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/sign"
	"lpatch/pkg/testutil/signtest"
)

// What the kernel says to a patch because of its signature.
const (
	saysUnsigned = "the patch is not signed, and this kernel requires a signature (lpatch.require_signature or lockdown)"
	saysUnknown  = "the patch is signed with a key that is not in the keyring .lpatch, and this kernel requires a signature " +
		"(lpatch.require_signature or lockdown)"
	saysExpired   = "the key in the keyring .lpatch that the patch is signed with has expired"
	saysRevoked   = "the key in the keyring .lpatch that the patch is signed with was revoked"
	saysChanged   = "the signature does not fit the patch: one of them was changed after signing, or another key made it"
	saysMalformed = "what is appended to the patch file is no valid signature"
	saysOtherKind = "the signature of the patch is not of the kind that is taken, one signer with SHA-256, without attributes and " +
		"certificates: sign it with lpctl sign"
	saysUnable = "this kernel requires signatures (lpatch.require_signature or lockdown), and cannot check any: it is built " +
		"without CONFIG_SYSTEM_DATA_VERIFICATION"
	saysByNow = "has no valid signature, which this kernel requires by now (lpatch.require_signature or lockdown)"
)

// keepModule, in the environment, says that the module cannot be loaded again.
const keepModule = "LPATCH_KEEP_MODULE"

// identity is a key with its certificate.
type identity struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// newIdentity makes a key, small because emulation is slow, with a certificate that is valid for so long.
func newIdentity(t *testing.T, name string, serial int64, valid time.Duration) identity {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(valid), KeyUsage: x509.KeyUsageDigitalSignature,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	return identity{key, signtest.Certificate(t, key, template)}
}

// signRaw appends a signature of the patch to its file, in place of the one that it has.
func signRaw(t *testing.T, p *lpnl.Patch, by identity) {
	t.Helper()
	content := rawContent(t, p)
	signature, err := sign.Make(p.SignedMessage(sha256.Sum256(content)), by.key, by.cert)
	if err != nil {
		t.Fatal(err)
	}
	writeRaw(t, p, sign.Append(content, signature))
}

func rawContent(t *testing.T, p *lpnl.Patch) []byte {
	t.Helper()
	data, err := os.ReadFile(p.File.Name())
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := sign.Split(data)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// writeRaw gives the patch another file, and another name, so that the kernel does not take it for one that it knows.
func writeRaw(t *testing.T, p *lpnl.Patch, data []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p.File, p.Hash = open(t, file), sha256.Sum256([]byte(file))
}

// reloadModule loads the module anew with these parameters, and without them at the end of the test.
func reloadModule(t *testing.T, params ...string) *lpnl.Client {
	t.Helper()
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	loadModule(t, params...)
	t.Cleanup(func() {
		if os.Getenv(keepModule) == "" {
			removeModule(t)
		}
	})
	return dial(t)
}

// emptyKeyring loads the module anew, so that its keyring is empty.
func emptyKeyring(t *testing.T, params ...string) *lpnl.Client {
	t.Helper()
	c := reloadModule(t, params...)
	info, err := c.Info()
	if err != nil || info.Keyring == 0 || info.SignatureRequired != (len(params) > 0) {
		t.Fatalf("the module loaded with %q says %+v, %v", params, info, err)
	}
	return c
}

// requireSignatures loads the module anew, and requires signatures by these keys, as one should: the keys first, then the lock.
func requireSignatures(t *testing.T, keys ...identity) *lpnl.Client {
	t.Helper()
	c := emptyKeyring(t)
	for _, key := range keys {
		trust(t, c, key)
	}
	if err := c.KeyLock(); err != nil {
		t.Fatal(err)
	}
	askForSignatures(t)
	return c
}

// signatureParameter has the kernel require signatures from now on.
const signatureParameter = "/sys/module/lpatch/parameters/require_signature"

func askForSignatures(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(signatureParameter, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
}

func trust(t *testing.T, c *lpnl.Client, who identity) {
	t.Helper()
	if err := c.KeyAdd(who.cert.Raw, who.cert.NotAfter); err != nil {
		t.Fatal(err)
	}
}

// wantErr compares an error with the sentence that it must be, and the errno.
func wantErr(t *testing.T, what string, err error, errno unix.Errno, sentence string) {
	t.Helper()
	if !errors.Is(err, errno) || err.Error() != sentence {
		t.Errorf("%s is answered with\n%v\nwant (%v)\n%s", what, err, errno, sentence)
	}
}

// wantRefused transfers a patch, which must be refused with this sentence, and leave nothing.
func wantRefused(t *testing.T, c *lpnl.Client, p *lpnl.Patch, sentence string) {
	t.Helper()
	before, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	err = c.Transfer(p)
	if err == nil || err.Error() != sentence || !lpnl.RefusesSignature(err) {
		t.Fatalf("the transfer is answered with\n%v\nwant\n%s", err, sentence)
	}
	after, err := c.Info()
	if err != nil || after.Patches != before.Patches {
		t.Fatalf("a refused patch is there: %+v before, %+v after, %v", before, after, err)
	}
}

// TestSignatures requires signatures, and hands in patches with each kind of wrong one, and a right one.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatures(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	good, other := newIdentity(t, "good", 1, time.Hour), newIdentity(t, "other", 2, time.Hour)
	p := rawPatch(t, v.path, "value")

	for _, keys := range [][]identity{nil, {other}} {
		c := requireSignatures(t, keys...)
		writeRaw(t, p, rawContent(t, p))
		wantRefused(t, c, p, saysUnsigned)
		signRaw(t, p, good)
		wantRefused(t, c, p, saysUnknown)
	}
	c := requireSignatures(t, other, good)
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	if !strings.Contains(maps(t, v.pid), "/lpatch:raw") {
		t.Fatalf("what is mapped is not the copy that was verified:\n%s", maps(t, v.pid))
	}
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)

	signRaw(t, p, newIdentity(t, "good", 1, time.Hour)) // another key of the same name
	wantRefused(t, c, p, saysChanged)
	content := rawContent(t, p)
	writeRaw(t, p, sign.Append(content, []byte("no PKCS#7")))
	wantRefused(t, c, p, saysOtherKind)
	for _, other := range otherKinds {
		writeRaw(t, p, sign.Append(content, other.make(t, p, good)))
		if err := c.Transfer(p); err == nil || err.Error() != saysOtherKind {
			t.Errorf("a signature with %s is answered with %v", other.what, err)
		}
	}
	end := sign.Append(content, []byte{1})
	end[len(content)+1]++ // what must be 0 is not
	writeRaw(t, p, end)
	wantRefused(t, c, p, saysMalformed)
}

// otherKind is a signature by a trusted key that is not of the kind that is taken.
type otherKind struct {
	what   string
	digest asn1.ObjectIdentifier
	// certificate: with that of a key that was revoked, whoever vouches for it would do.
	certificate, attributes bool
	signers                 int
	change                  func(*testing.T, *pkcs7.SignedData)
	behind                  string // bytes behind the message
}

var otherKinds = []otherKind{
	{what: "a certificate", digest: pkcs7.OIDDigestAlgorithmSHA256, certificate: true, signers: 1},
	{what: "attributes", digest: pkcs7.OIDDigestAlgorithmSHA256, attributes: true, signers: 1},
	{what: "SHA-1", digest: pkcs7.OIDDigestAlgorithmSHA1, signers: 1},
	{what: "SHA-512", digest: pkcs7.OIDDigestAlgorithmSHA512, signers: 1},
	{what: "two signers", digest: pkcs7.OIDDigestAlgorithmSHA256, signers: 2},
	{what: "no signer", digest: pkcs7.OIDDigestAlgorithmSHA256},
	{what: "attributes that are not signed", digest: pkcs7.OIDDigestAlgorithmSHA256, signers: 1, change: func(t *testing.T, sd *pkcs7.SignedData) {
		about := []pkcs7.Attribute{{Type: pkcs7.OIDAttributeSigningTime, Value: time.Now().UTC()}}
		if err := sd.GetSignedData().SignerInfos[0].SetUnauthenticatedAttributes(about); err != nil {
			t.Fatal(err)
		}
	}},
	{what: "something behind it", digest: pkcs7.OIDDigestAlgorithmSHA256, signers: 1, behind: "\x05\x00"},
}

func (k *otherKind) make(t *testing.T, p *lpnl.Patch, by identity) []byte {
	t.Helper()
	sd, err := pkcs7.NewSignedData(p.SignedMessage(sha256.Sum256(rawContent(t, p))))
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(k.digest)
	sd.SetEncryptionAlgorithm(pkcs7.OIDEncryptionAlgorithmRSA)
	for range k.signers {
		if k.attributes {
			err = sd.AddSigner(by.cert, by.key, pkcs7.SignerInfoConfig{})
		} else {
			err = sd.SignWithoutAttr(by.cert, by.key, pkcs7.SignerInfoConfig{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sd.Detach()
	if k.change != nil {
		k.change(t, sd)
	}
	if k.certificate {
		signature, err := sd.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	inner, err := asn1.Marshal(*sd.GetSignedData()) // Finish would put the certificate in
	if err != nil {
		t.Fatal(err)
	}
	signature, err := asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{pkcs7.OIDSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}})
	if err != nil {
		t.Fatal(err)
	}
	return append(signature, k.behind...)
}

// TestNoSignatures is for a kernel that cannot check any: with require_signature=1 nothing is accepted, signed or not.
//
//machine:needs !CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestNoSignatures(t *testing.T) {
	c := reloadModule(t, "require_signature=1")
	v := startVictim(t, "victim", "-m", "spin")
	p := rawPatch(t, v.path, "value")
	wantRefused(t, c, p, saysUnable)
	signRaw(t, p, newIdentity(t, "good", 1, time.Hour))
	wantRefused(t, c, p, saysUnable)
}

// TestSignatureCovers changes one thing after another of a signed patch.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureCovers(t *testing.T) {
	good := newIdentity(t, "good", 1, time.Hour)
	c := requireSignatures(t, good)
	changes := map[string]func(p *lpnl.Patch){
		"name":             func(p *lpnl.Patch) { p.Name = "war" },
		"pin":              func(p *lpnl.Patch) { p.Pin = 4096 },
		"image name":       func(p *lpnl.Patch) { p.Images[0].Name += "x" },
		"image flags":      func(p *lpnl.Patch) { p.Images[0].Flags = 0 },
		"text offset":      func(p *lpnl.Patch) { p.Images[0].TextOffset += 4096 },
		"text address":     func(p *lpnl.Patch) { p.Images[0].TextVaddr -= 4096 },
		"span start":       func(p *lpnl.Patch) { p.Images[0].SpanStart++ },
		"span end":         func(p *lpnl.Patch) { p.Images[0].SpanEnd += 4096 },
		"build-id":         func(p *lpnl.Patch) { p.Images[0].BuildID = nil },
		"one image more":   func(p *lpnl.Patch) { p.Images = append(p.Images, p.Images[0]) },
		"segment offset":   func(p *lpnl.Patch) { p.Segments[1].Offset = 0 },
		"segment address":  func(p *lpnl.Patch) { p.Segments[1].Vaddr += 4096 },
		"segment size":     func(p *lpnl.Patch) { p.Segments[0].Size, p.Segments[1].Vaddr = 8192, 8192 },
		"protection":       func(p *lpnl.Patch) { p.Segments[0].Prot = lpnl.SegmentProtExec },
		"site symbol":      func(p *lpnl.Patch) { p.Sites[0].Symbol += "x" },
		"site address":     func(p *lpnl.Patch) { p.Sites[0].Vaddr++ },
		"site kind":        func(p *lpnl.Patch) { p.Sites[0].Kind, p.Sites[0].New = lpnl.SiteKindBytes, make([]byte, 5) },
		"expected bytes":   func(p *lpnl.Patch) { p.Sites[0].Old = []byte{1, 2, 3, 4, 5} },
		"target":           func(p *lpnl.Patch) { p.Sites[0].Target += 4 },
		"no function":      func(p *lpnl.Patch) { p.Functions = nil },
		"function symbol":  func(p *lpnl.Patch) { p.Functions[0].Symbol += "x" },
		"function start":   func(p *lpnl.Patch) { p.Functions[0].Start-- },
		"function end":     func(p *lpnl.Patch) { p.Functions[0].End-- },
		"no fix-up":        func(p *lpnl.Patch) { p.Fixups = nil },
		"fix-up place":     func(p *lpnl.Patch) { p.Fixups[0].Place += 8 },
		"fix-up addend":    func(p *lpnl.Patch) { p.Fixups[0].Addend++ },
		"fix-up image":     func(p *lpnl.Patch) { p.Fixups[0].Image = -1 },
		"fix-up kind":      func(p *lpnl.Patch) { p.Fixups[0].Kind = lpnl.FixupKindPc32 },
		"content":          func(p *lpnl.Patch) { changeFile(t, p, 2) },
		"unmapped content": func(p *lpnl.Patch) { changeFile(t, p, 3*4096+1) },
	}
	for what, change := range changes {
		p := coveredPatch(t)
		signRaw(t, p, good)
		change(p)
		p.Hash = sha256.Sum256([]byte(what))
		if err := c.Transfer(p); err == nil || err.Error() != saysChanged {
			t.Errorf("with another %s the patch is answered with\n%v\nwant\n%s", what, err, saysChanged)
		}
	}
	p := coveredPatch(t)
	p.Segments[1].Offset, p.Segments[1].Size = 3*4096, 2*4096 // a page of the signature, which has room for anything
	content := rawContent(t, p)
	signature, err := sign.Make(p.SignedMessage(sha256.Sum256(content)), good.key, good.cert)
	if err != nil {
		t.Fatal(err)
	}
	writeRaw(t, p, sign.Append(content, append(signature, make([]byte, 2*4096)...)))
	wantRefused(t, c, p, saysMalformed)
	q := coveredPatch(t)
	signRaw(t, q, good)
	transfer(t, c, q)
}

// coveredPatch has something in each table. It is for no program.
func coveredPatch(t *testing.T) *lpnl.Patch {
	t.Helper()
	p := rawPatch(t, fixtures+"victim", "value")
	p.Images[0].BuildID = buildID(t, p.Images[0].File)
	p.Segments = append(p.Segments, lpnl.Segment{Offset: 4096, Vaddr: 4096, Size: 4096, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtWrite})
	p.Fixups = []lpnl.Fixup{{Place: 64, Kind: lpnl.FixupKindAbs64}}
	writeRaw(t, p, append(rawContent(t, p), make([]byte, 3*4096)...))
	return p
}

// changeFile changes one byte of the patch's file, in place.
func changeFile(t *testing.T, p *lpnl.Patch, at int64) {
	t.Helper()
	f, err := os.OpenFile(p.File.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0x99}, at); err != nil {
		t.Fatal(err)
	}
}

// TestSignatureKeys has keys expire and be revoked, before and after a patch that they signed is sealed and registered.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureKeys(t *testing.T) {
	p, q, start := rawPatch(t, fixtures+"victim", "value"), rawPatch(t, fixtures+"victim", "value"), rawPatch(t, fixtures+"start", "value")
	revoked := newIdentity(t, "revoked", 4, time.Hour)
	c, brief := sealBriefly(t, p, revoked)
	v := startVictim(t, "victim")
	signRaw(t, q, revoked)
	signRaw(t, start, revoked)
	transfer(t, c, q)
	transfer(t, c, start)
	addBoot(t, c, start, 0)
	if got := exitOf(t, fixtures+"start"); got != 2 {
		t.Fatalf("a program whose boot entry is signed exits with %d, want 2", got)
	}
	do(t, c, lpnl.VerbApply, q, v.pid)
	wantDone(t, `not trusted any more: "revoked", which was until \S+`, "key", "revoke", certificateFile(t, revoked))
	do(t, c, lpnl.VerbRestore, q, v.pid)
	refuseWith(t, c, lpnl.VerbApply, q, v.pid, lpnl.RefusalUnsigned, "patch raw is signed with a key that was revoked since")
	do(t, c, lpnl.VerbUnload, q, v.pid)
	if got := exitOf(t, fixtures+"start"); got != 1 {
		t.Errorf("a program whose boot entry is signed with a key that was revoked exits with %d, want 1", got)
	}
	wantErr(t, "a boot entry", c.BootAdd(q.Hash, 0), unix.EKEYREJECTED, "the patch is signed with a key that does not count any more")
	signRaw(t, q, revoked)
	wantRefused(t, c, q, saysRevoked)
	time.Sleep(time.Until(brief.cert.NotAfter) + time.Second)
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalUnsigned, "patch raw is signed with a key that has expired since")
	signRaw(t, p, brief)
	wantRefused(t, c, p, saysExpired)
	// Of several keys that do not count, the one that signed is meant, and not whichever the kernel met last.
	signRaw(t, q, revoked)
	wantRefused(t, c, q, saysRevoked)
	stranger := newIdentity(t, "stranger", 5, time.Hour)
	signRaw(t, q, stranger)
	wantRefused(t, c, q, saysUnknown)
	wantErr(t, "revoking a key that is not there", c.KeyRevoke(stranger.cert.Raw), unix.ENOENT, "the certificate is not in the keyring .lpatch")
}

// sealBriefly seals a patch whose key expires soon, but late enough on this machine.
func sealBriefly(t *testing.T, p *lpnl.Patch, others ...identity) (*lpnl.Client, identity) {
	t.Helper()
	for valid := 5 * time.Second; ; valid *= 2 {
		brief := newIdentity(t, "brief", 3, valid)
		c := requireSignatures(t, append(others, brief)...)
		signRaw(t, p, brief)
		err := c.Transfer(p)
		if err == nil {
			return c, brief
		}
		if err.Error() != saysExpired {
			t.Fatal(err)
		}
		c.Close()
	}
}

// certificateFile writes a certificate to a file.
func certificateFile(t *testing.T, who identity) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cert.der")
	if err := os.WriteFile(path, who.cert.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the kernel says of keys.
const (
	saysLocked  = "the keyring .lpatch is locked and takes no more keys until the module is loaded again"
	saysVouched = "the keyring .lpatch takes only certificates that a key trusted by the kernel vouches for: sign it with such a key " +
		"(a machine owner key, for one)"
	saysTooLate = "signatures are required already, and the keyring .lpatch has keys that nobody vouched for: they do not count any " +
		"more; load the module again"
	saysOpen = "the keyring .lpatch has keys that nobody vouched for, and was not locked before signatures were required: load the " +
		"module again, and it takes those that the kernel's trusted keys vouch for"
)

// TestSignatureKeyring locks the keyring, and tries to change it past the module, as root may change other keyrings.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureKeyring(t *testing.T) {
	good := newIdentity(t, "good", 1, time.Hour)
	c := emptyKeyring(t)
	old := newIdentity(t, "old", 5, -time.Minute)
	status, _, stderr := lpctl(t, "key", "add", certificateFile(t, old))
	if status != 1 || !strings.Contains(stderr, `the certificate of "old" expired on `) {
		t.Errorf("an expired certificate is answered with %d %s", status, stderr)
	}
	wantErr(t, "an expired certificate", c.KeyAdd(old.cert.Raw, old.cert.NotAfter), unix.EKEYEXPIRED, "the certificate has expired")
	if err := c.KeyAdd([]byte("no certificate"), good.cert.NotAfter); err == nil || err.Error() !=
		"the kernel does not understand the certificate: it takes X.509 in DER, with algorithms that it is built with" {
		t.Errorf("what is no certificate is answered with %v", err)
	}
	wantDone(t, `trusted: "good", until \S+`, "key", "add", certificateFile(t, good))
	wantSaid(t, 3, "nothing to do: the certificate is in the keyring .lpatch already", "key", "add", certificateFile(t, good))
	revoked := newIdentity(t, "revoked", 2, time.Hour)
	trust(t, c, revoked)
	if err := c.KeyRevoke(revoked.cert.Raw); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a key that was revoked", c.KeyAdd(revoked.cert.Raw, revoked.cert.NotAfter), unix.EKEYREVOKED, "the certificate was revoked")
	for what, other := range otherBytes(t, revoked.cert) {
		if err := c.KeyAdd(other, revoked.cert.NotAfter); !errors.Is(err, unix.EKEYREVOKED) && !errors.Is(err, unix.EBADMSG) {
			t.Errorf("a certificate that was revoked, with %s, is answered with %v", what, err)
		}
	}
	wantClosed(t, c)
	wantDone(t, "the keyring .lpatch takes no more keys", "key", "lock")
	wantErr(t, "a key for a locked keyring", c.KeyAdd(good.cert.Raw, good.cert.NotAfter), unix.EROFS, saysLocked)
	wantSaid(t, 3, "nothing to do: the keyring .lpatch is locked already", "key", "lock")
}

// otherBytes is a certificate in other bytes, of which the signature is the same and valid.
func otherBytes(t *testing.T, cert *x509.Certificate) map[string][]byte {
	t.Helper()
	var parts struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &parts); err != nil {
		t.Fatal(err)
	}
	parts.Algorithm.Parameters = asn1.RawValue{}
	algorithm, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"bytes behind it": append(slices.Clone(cert.Raw), 0), "another algorithm outside": algorithm}
}

// wantClosed tries what keyctl(2) has for keyrings and keys, as root, and with the keys of the keyring .lpatch.
func wantClosed(t *testing.T, c *lpnl.Client) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	info, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	ring, list := info.Keyring, make([]byte, 8)
	if n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, ring, list, 0); err != nil || n < 4 {
		t.Fatalf("the keyring reads as %d bytes, %v; want a key", n, err)
	}
	key := int(int32(binary.NativeEndian.Uint32(list)))
	own, err := unix.AddKey("asymmetric", "", newIdentity(t, "own", 9, time.Hour).cert.Raw, unix.KEY_SPEC_THREAD_KEYRING)
	if err != nil {
		t.Fatal(err)
	}
	nested, err := unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_PROCESS_KEYRING, 1, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string][4]int{
		"adding a key":             {unix.KEYCTL_LINK, own, ring},
		"nesting a keyring":        {unix.KEYCTL_LINK, nested, ring},
		"taking a key out":         {unix.KEYCTL_UNLINK, key, ring},
		"clearing it":              {unix.KEYCTL_CLEAR, ring},
		"restricting it":           {unix.KEYCTL_RESTRICT_KEYRING, ring},
		"revoking it":              {unix.KEYCTL_REVOKE, ring},
		"invalidating it":          {unix.KEYCTL_INVALIDATE, ring},
		"its time":                 {unix.KEYCTL_SET_TIMEOUT, ring, 1},
		"its permissions":          {unix.KEYCTL_SETPERM, ring, 0x3f3f3f3f},
		"its owner":                {unix.KEYCTL_CHOWN, ring, 1, 1},
		"possessing it":            {unix.KEYCTL_LINK, ring, unix.KEY_SPEC_THREAD_KEYRING},
		"the time of a key":        {unix.KEYCTL_SET_TIMEOUT, key, 1000000},
		"the permissions of a key": {unix.KEYCTL_SETPERM, key, 0x3f3f3f3f},
		"the owner of a key":       {unix.KEYCTL_CHOWN, key, 1, 1},
		"possessing a key":         {unix.KEYCTL_LINK, key, unix.KEY_SPEC_THREAD_KEYRING},
		"revoking a key by keyctl": {unix.KEYCTL_REVOKE, key},
		"invalidating a key":       {unix.KEYCTL_INVALIDATE, key},
	} {
		if _, _, errno := unix.Syscall6(unix.SYS_KEYCTL, uintptr(call[0]), uintptr(call[1]), uintptr(call[2]), uintptr(call[3]), 0, 0); errno != unix.EACCES {
			t.Errorf("%s is answered with %v, want %v", what, errno, unix.EACCES)
		}
	}
}

// TestSignatureOrder puts keys in and locks the keyring before and after signatures are required: what nobody vouched for counts
// only if it was in and locked before.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureOrder(t *testing.T) {
	good := newIdentity(t, "good", 1, time.Hour)
	c := emptyKeyring(t, "require_signature=1")
	wantErr(t, "a key that nobody vouches for", c.KeyAdd(good.cert.Raw, good.cert.NotAfter), unix.ENOKEY, saysVouched)
	if err := c.KeyLock(); err != nil {
		t.Errorf("locking an empty keyring: %v", err)
	}
	c.Close()
	c = emptyKeyring(t)
	v := startVictim(t, "victim")
	p := rawPatch(t, v.path, "value")
	signRaw(t, p, good)
	trust(t, c, good)
	transfer(t, c, p)
	askForSignatures(t)
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalUnsigned, "patch raw is signed with a key that nobody vouched for, and "+
		".lpatch was locked too late or not at all")
	signRaw(t, p, good)
	wantRefused(t, c, p, saysOpen)
	wantErr(t, "another key", c.KeyAdd(good.cert.Raw, good.cert.NotAfter), unix.EKEYREJECTED, saysTooLate)
	wantErr(t, "locking it now", c.KeyLock(), unix.EKEYREJECTED, saysTooLate)
	wantRefused(t, c, p, saysOpen)
}

// TestSignatureLater requires signatures of a kernel that has unsigned patches already: what is applied can be taken out, and
// nothing more is done with them.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureLater(t *testing.T) {
	c := emptyKeyring(t)
	v, w := startVictim(t, "victim"), startVictim(t, "victim")
	p, start := rawPatch(t, v.path, "value"), rawPatch(t, fixtures+"start", "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	do(t, c, lpnl.VerbLoad, p, w.pid)
	addBoot(t, c, start, 0)
	askForSignatures(t)
	if err := os.WriteFile(signatureParameter, []byte("0"), 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("switching it off again is answered with %v", err)
	}
	refuseWith(t, c, lpnl.VerbApply, p, w.pid, lpnl.RefusalUnsigned, "patch raw "+saysByNow)
	do(t, c, lpnl.VerbUnload, p, w.pid)
	refuseWith(t, c, lpnl.VerbLoad, p, w.pid, lpnl.RefusalUnsigned, "patch raw "+saysByNow)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalUnsigned, "patch raw "+saysByNow)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	v.wantValue(1)
	if got := exitOf(t, fixtures+"start"); got != 1 {
		t.Errorf("a program whose boot entry is not signed exits with %d, want 1", got)
	}
	if b := wantBoot(t, c, 0, 1); b.Message != "patch raw "+saysByNow {
		t.Errorf("the boot entry failed with %q", b.Message)
	}
	if err := c.BootAdd(p.Hash, 0); err == nil || err.Error() != "the patch "+saysByNow {
		t.Errorf("a boot entry for an unsigned patch is answered with %v", err)
	}
	// The known object does not serve any more, so that it is looked at again.
	wantRefused(t, c, p, saysUnsigned)
}

// TestSignatureOptional does not require signatures: without a key none is looked at; with one, those that are wrong are
// refused all the same.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureOptional(t *testing.T) {
	c := emptyKeyring(t)
	v := startVictim(t, "victim")
	good := newIdentity(t, "good", 1, time.Hour)
	p := rawPatch(t, v.path, "value")
	signRaw(t, p, good)
	changeFile(t, p, 100)
	transfer(t, c, p)
	trust(t, c, good)
	writeRaw(t, p, rawContent(t, p))
	transfer(t, c, p)
	signRaw(t, p, newIdentity(t, "unknown", 7, time.Hour))
	transfer(t, c, p)
	signRaw(t, p, good)
	changeFile(t, p, 101)
	wantRefused(t, c, p, saysChanged)
}

// TestHelperLockdown locks the kernel down, which nothing undoes: TestLockdown gives it a machine of its own. From then on
// signatures are required, root brings in no key of his own, and what he put in before counts only if he locked it before.
func TestHelperLockdown(t *testing.T) {
	c := emptyKeyring(t)
	v := startVictim(t, "victim")
	good := newIdentity(t, "good", 1, time.Hour)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	trust(t, c, good)
	if err := unix.Mount("securityfs", "/sys/kernel/security", "securityfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		t.Fatal(err)
	}
	if err := os.WriteFile("/sys/kernel/security/lockdown", []byte("integrity"), 0); err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || !info.SignatureRequired {
		t.Fatalf("under lockdown the module says %+v, %v", info, err)
	}
	refuseWith(t, c, lpnl.VerbApply, p, v.pid, lpnl.RefusalUnsigned, "patch raw "+saysByNow)
	writeRaw(t, p, rawContent(t, p))
	wantRefused(t, c, p, saysUnsigned)
	signRaw(t, p, good)
	wantRefused(t, c, p, saysOpen)
	own := newIdentity(t, "own", 2, time.Hour)
	wantErr(t, "a key of root's own", c.KeyAdd(own.cert.Raw, own.cert.NotAfter), unix.EKEYREJECTED, saysTooLate)
	wantErr(t, "locking the keyring now", c.KeyLock(), unix.EKEYREJECTED, saysTooLate)
	wantRefused(t, c, p, saysOpen)
	v.wantValue(1)
}

// TestSignatureKeepsFile changes the file of a signed patch after the transfer, and what is mapped from there on: the kernel
// has its own copy, which nobody can open for writing.
//
//machine:needs CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestSignatureKeepsFile(t *testing.T) {
	good := newIdentity(t, "good", 1, time.Hour)
	c := requireSignatures(t, good)
	v := startVictim(t, "victim")
	p := rawPatch(t, v.path, "value")
	signRaw(t, p, good)
	transfer(t, c, p)
	changeFile(t, p, 2) // lea eax, [rdi + 0x99]
	r := do(t, c, lpnl.VerbApply, p, v.pid)
	v.wantValue(2)
	link := fmt.Sprintf("/proc/%d/map_files/%x-%x", v.pid, r.MappedAt, r.MappedAt+r.MappedBytes)
	if f, err := os.OpenFile(link, os.O_RDWR, 0); !errors.Is(err, unix.ETXTBSY) {
		t.Errorf("opening %s for writing is answered with %v", link, err)
		f.Close()
	}
	if err := os.Truncate(link, 0); !errors.Is(err, unix.ETXTBSY) {
		t.Errorf("truncating %s is answered with %v", link, err)
	}
	v.wantValue(2)
}
