// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/sign"
	"lpatch/pkg/testutil/signtest"
)

// owner has a key to sign modules.
type owner struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newOwner(t *testing.T, name string) owner {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		// expired, which the kernel ignores
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	}
	return owner{key, signtest.Certificate(t, key, template)}
}

// module returns the path of a file that the owner has signed like the kernel's sign-file.
func (o owner) module(t *testing.T) string {
	t.Helper()
	content := []byte("the module")
	signature, err := sign.Make(content, o.key, o.cert)
	if err != nil {
		t.Fatal(err)
	}
	return string(sign.AppendModule(content, signature))
}

// mokList returns an EFI_SIGNATURE_LIST of certificates, preceded by one of hashes, as on every machine.
func mokList(certs ...*x509.Certificate) string {
	var out bytes.Buffer
	list := func(kind []byte, entry []byte) {
		out.Write(kind)
		for _, n := range []int{28 + 16 + len(entry), 0, 16 + len(entry)} {
			_ = binary.Write(&out, binary.LittleEndian, uint32(n)) // a Buffer never fails
		}
		out.Write(make([]byte, 16))
		out.Write(entry)
	}
	list(make([]byte, 16), make([]byte, 32))
	for _, c := range certs {
		list(x509List, c.Raw)
	}
	return out.String()
}

const (
	testRelease = "6.1.0-56-amd64"
	lockdown    = "sys/kernel/security/lockdown"
	modulePath  = "lib/modules/" + testRelease + "/updates/dkms/lpatch.ko"
	mokListPath = "sys/firmware/efi/mok-variables/MokListRT"
	mokVariable = "sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
)

func TestSecureBoot(t *testing.T) {
	dkms, other := newOwner(t, "DKMS"), newOwner(t, "somebody")
	on := map[string]string{lockdown: "none [integrity] confidentiality\n", secureBootName: "\x06\x00\x00\x00\x01"}
	mok := map[string]string{"var/lib/dkms/mok.pub": string(dkms.cert.Raw), "var/lib/dkms/mok.key": "key"}
	const required = "the kernel is locked down (integrity, as Secure Boot is on): modules must be signed"
	const signFile = `"/lib/modules/` + testRelease + `/build/scripts/sign-file sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /` +
		modulePath + `" signs it (or kmodsign, where there is that)`
	const enroll = `"mokutil --import /var/lib/dkms/mok.pub" asks for a password; boot, and choose "Enroll MOK" in the screen that ` +
		`comes before the system`
	const securityfs = `whether the kernel is locked down cannot be told; "mount -t securityfs securityfs /sys/kernel/security" shows it`
	for _, c := range []struct {
		name  string
		files []map[string]string
		ok    bool
		want  string
	}{
		{"nothing", nil, true, "this kernel takes modules without a signature"},
		{"not locked", []map[string]string{on, {lockdown: "[none] integrity confidentiality\n"}}, true,
			"it is on, but this kernel takes modules without a signature"},
		{"off", []map[string]string{on, {lockdown: "[none] integrity\n", secureBootName: "\x06\x00\x00\x00\x00"}}, true,
			"this kernel takes modules without a signature"},
		{"no securityfs", []map[string]string{{secureBootName: "\x06\x00\x00\x00\x01"}}, false, securityfs},
		{"nor efivarfs", []map[string]string{{"sys/firmware/efi/systab": ""}}, false, securityfs},
		{"efivarfs, off", []map[string]string{{secureBootName: "\x06\x00\x00\x00\x00"}}, true, "this kernel takes modules without a signature"},
		{"securityfs without it", []map[string]string{{secureBootName: "\x06\x00\x00\x00\x01", "sys/kernel/security/lsm": "capability"}}, true,
			"it is on, but this kernel takes modules without a signature"},
		{"no securityfs, and a parameter", []map[string]string{{"proc/cmdline": "quiet lockdown=integrity"}}, false, securityfs},
		{"parameter", []map[string]string{{"sys/module/module/parameters/sig_enforce": "Y\n"}}, false,
			"module.sig_enforce is set: modules must be signed, and there is none for " + testRelease +
				"; the package lpatch-dkms builds one and signs it"},
		{"unsigned", []map[string]string{on, mok, {modulePath: "the module"}}, false, required + ", and /" + modulePath + " is not; " +
			signFile + ", and the certificate must be enrolled: " + enroll},
		{"unsigned, enrolled", []map[string]string{on, mok, {modulePath: "the module", mokListPath: mokList(other.cert, dkms.cert)}}, false,
			required + ", and /" + modulePath + " is not; " + signFile + ": the certificate is enrolled"},
		{"unsigned, another enrolled", []map[string]string{on, mok, {modulePath: "the module", mokListPath: mokList(other.cert)}}, false,
			required + ", and /" + modulePath + " is not; " + signFile + ", and the certificate must be enrolled: " + enroll},
		{"no key", []map[string]string{on, {modulePath: "the module"}}, false, required + ", and /" + modulePath + " is not; make a key " +
			"and sign it as Documentation/distribution-guide.md tells, or have the package lpatch-dkms do both"},
		{"not enrolled", []map[string]string{on, mok, {modulePath: dkms.module(t), mokListPath: mokList(other.cert)}}, false,
			required + ` by a key that the machine knows, and "DKMS", by which lpatch is, is none; ` + enroll},
		{"no list", []map[string]string{on, mok, {modulePath: dkms.module(t)}}, false,
			required + ` by a key that the machine knows, and "DKMS", by which lpatch is, is none; ` + enroll},
		{"enrolled", []map[string]string{on, mok, {modulePath: dkms.module(t), mokListPath: mokList(other.cert, dkms.cert)}}, true,
			required + `, and lpatch is, by the owner's key "DKMS": "modprobe lpatch" works`},
		{"variable", []map[string]string{on, {modulePath: dkms.module(t), mokVariable: "\x06\x00\x00\x00" + mokList(dkms.cert)}}, true,
			required + `, and lpatch is, by the owner's key "DKMS": "modprobe lpatch" works`},
		{"changed", []map[string]string{on, {modulePath: "x" + dkms.module(t), mokListPath: mokList(dkms.cert)}}, false,
			required + ", and whose key signed /" + modulePath + ` is not known here; if "modprobe lpatch" is refused, enroll its ` +
				"certificate: " + strings.Replace(enroll, "/var/lib/dkms/mok.pub", "CERTIFICATE.der", 1)},
		{"malformed", []map[string]string{on, {modulePath: "the module~Module signature appended~\n"}}, false,
			required + ", and /" + modulePath + " cannot be loaded: what is appended to the file is no valid signature"},
		{"compressed", []map[string]string{on, {modulePath + ".xz": "…"}}, false,
			required + "; /" + modulePath + `.xz is compressed, and whether it is cannot be told here: "modinfo -F signer lpatch" ` +
				`tells by whom, and "modprobe lpatch" whether the kernel takes it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := made(t)
			all := map[string]string{} // later ones take precedence
			for _, files := range c.files {
				maps.Copy(all, files)
			}
			for name, text := range all {
				write(t, m, name, text)
			}
			got := m.SecureBoot(false)
			if got.OK != c.ok || got.Message != c.want {
				t.Errorf("got  %v %s\nwant %v %s", got.OK, got.Message, c.ok, c.want)
			}
		})
	}
}

// FuzzSignatureLists parses arbitrary EFI variables.
func FuzzSignatureLists(f *testing.F) {
	f.Add([]byte(mokList()))
	f.Add(append([]byte(mokList()), x509List...))
	f.Fuzz(func(_ *testing.T, data []byte) { parseSignatureLists(data) })
}
