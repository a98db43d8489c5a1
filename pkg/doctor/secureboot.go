// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/sign"
)

// moks lists the keys with which DKMS signs modules: on Debian and by DKMS's default, and on Ubuntu.
var moks = []struct{ cert, key string }{
	{"/var/lib/dkms/mok.pub", "/var/lib/dkms/mok.key"},
	{"/var/lib/shim-signed/mok/MOK.der", "/var/lib/shim-signed/mok/MOK.priv"},
}

// lockdownName is the file with the lockdown level of the kernel in brackets.
const lockdownName = "sys/kernel/security/lockdown"

// secureBootName is the EFI variable that is 1 if the firmware only starts signed programs.
const secureBootName = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// mokLists are the locations of the machine owner keys of the boot loader shim: the kernel's copy, and the EFI variable.
var mokLists = []struct {
	path   string
	offset int // of the list; EFI variables start with their attributes
}{
	{"sys/firmware/efi/mok-variables/MokListRT", 0},
	{"sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23", 4},
}

// howToEnroll tells how to enroll a certificate as a machine owner key.
const howToEnroll = `"mokutil --import %s" asks for a password; boot, and choose "Enroll MOK" in the screen that comes before the system`

// SecureBoot reports whether this machine accepts the signature of the module, and what to do otherwise. A module that is
// loaded has been accepted.
func (m Machine) SecureBoot(loaded bool) Check {
	const name = "secure boot"
	reason := m.whySigned()
	switch {
	case loaded && reason != "":
		return ok(name, "%s; the module is there, as a part of the kernel or with a signature that it takes", reason)
	case reason != "":
		return m.judgeModule(name, reason)
	case !loaded && !m.exists("sys/module"):
		return bad(name, `there is no /sys, so it cannot be told whether modules must be signed; "mount -t sysfs sysfs /sys" mounts it`)
	case !loaded && !m.knowsLockdown():
		return bad(name, `whether the kernel is locked down cannot be told; "mount -t securityfs securityfs /sys/kernel/security" shows it`)
	case !m.knowsLockdown():
		return ok(name, "whether the kernel is locked down cannot be told; the module is there, as a part of the kernel or with a "+
			"signature that it takes if it must")
	case m.secureBoot():
		return ok(name, "it is on, but this kernel takes modules without a signature")
	}
	return ok(name, "this kernel takes modules without a signature")
}

// whySigned returns the reason why this kernel requires signed modules; "" if it does not.
func (m Machine) whySigned() string {
	why := ""
	if text, err := os.ReadFile(m.path(lockdownName)); err == nil {
		for word := range strings.FieldsSeq(string(text)) {
			if level, ok := strings.CutPrefix(word, "["); ok && level != "none]" {
				why = fmt.Sprintf("the kernel is locked down (%s", strings.TrimSuffix(level, "]"))
				if m.secureBoot() {
					why += ", as Secure Boot is on"
				}
				why += ")"
			}
		}
	}
	if why == "" {
		text, err := os.ReadFile(m.path("sys/module/module/parameters/sig_enforce"))
		if err != nil || !strings.HasPrefix(string(text), "Y") {
			return ""
		}
		why = "module.sig_enforce is set"
	}
	return why + ": modules must be signed"
}

// knowsLockdown reports whether the lockdown level is known: the kernel reports it, or the machine has no UEFI or Secure Boot
// is off, so that only a kernel parameter could enable lockdown.
func (m Machine) knowsLockdown() bool {
	if m.exists(lockdownName) {
		return true
	}
	if list, _ := os.ReadDir(filepath.Dir(m.path(lockdownName))); len(list) > 0 {
		return true // securityfs is mounted, and this kernel does not support lockdown
	}
	if m.secureBoot() || m.hasWord("lockdown=") {
		return false
	}
	return !m.exists("sys/firmware/efi") || m.exists(secureBootName)
}

func (m Machine) secureBoot() bool {
	value, err := os.ReadFile(m.path(secureBootName))
	return err == nil && len(value) == 5 && value[4] == 1
}

// judgeModule examines the file of the module if modules must be signed.
func (m Machine) judgeModule(name, reason string) Check {
	path, _ := m.moduleFile()
	if path == "" {
		return bad(name, "%s, and there is none for %s; the package lpatch-dkms builds one and signs it", reason, m.Release)
	}
	if !strings.HasSuffix(path, ".ko") {
		return bad(name, "%s; %s is compressed, and whether it is cannot be told here: \"modinfo -F signer lpatch\" tells by whom, and "+
			"\"modprobe lpatch\" whether the kernel takes it", reason, path)
	}
	file, err := os.ReadFile(m.path(path))
	if err != nil {
		return bad(name, "%v", err)
	}
	content, signature, err := sign.SplitModule(file)
	if err != nil {
		return bad(name, "%s, and %s cannot be loaded: %v", reason, path, err)
	}
	if signature == nil {
		return bad(name, "%s, and %s is not; %s", reason, path, m.howToSign(path))
	}
	enrolled, err := m.enrolledKeys()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return bad(name, "%s, and the keys of the machine's owner cannot be read: %v", reason, err)
	}
	// the kernel ignores the validity period of certificates
	now := time.Now()
	if cert, _ := sign.Check(signature, content, enrolled, now); cert != nil {
		return ok(name, "%s, and lpatch is, by the owner's key %q: \"modprobe lpatch\" works", reason, cert.Subject.CommonName)
	}
	for _, mok := range moks {
		certs, err := sign.ReadCertificates(m.path(mok.cert))
		if err != nil {
			continue
		}
		if cert, _ := sign.Check(signature, content, certs, now); cert != nil {
			return bad(name, "%s by a key that the machine knows, and %q, by which lpatch is, is none; "+howToEnroll,
				reason, cert.Subject.CommonName, mok.cert)
		}
	}
	return bad(name, "%s, and whose key signed %s is not known here; if \"modprobe lpatch\" is refused, enroll its certificate: "+
		howToEnroll, reason, path, "CERTIFICATE.der")
}

// howToSign tells how to sign the module: by DKMS, if it has a key, or with the kernel's sign-file.
func (m Machine) howToSign(path string) string {
	for _, mok := range moks {
		if _, err := os.Stat(m.path(mok.cert)); err == nil {
			how := fmt.Sprintf("\"/lib/modules/%s/build/scripts/sign-file sha256 %s %s %s\" signs it (or kmodsign, where there is that)",
				m.Release, mok.key, mok.cert, path)
			if m.isEnrolled(mok.cert) {
				return how + ": the certificate is enrolled"
			}
			return how + fmt.Sprintf(", and the certificate must be enrolled: "+howToEnroll, mok.cert)
		}
	}
	return "make a key and sign it as Documentation/distribution-guide.md tells, or have the package lpatch-dkms do both"
}

// isEnrolled reports whether the certificate in a file is a machine owner key.
func (m Machine) isEnrolled(path string) bool {
	certs, err := sign.ReadCertificates(m.path(path))
	if err != nil {
		return false
	}
	enrolled, err := m.enrolledKeys()
	return err == nil && slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return slices.ContainsFunc(enrolled, c.Equal) })
}

// enrolledKeys returns the certificates of the machine owner keys.
func (m Machine) enrolledKeys() ([]*x509.Certificate, error) {
	err := os.ErrNotExist
	for _, list := range mokLists {
		var data []byte
		if data, err = os.ReadFile(m.path(list.path)); err == nil && len(data) >= list.offset {
			return parseSignatureLists(data[list.offset:]), nil
		}
	}
	return nil, err
}

// x509List is EFI_CERT_X509_GUID, the type of an EFI_SIGNATURE_LIST that contains certificates.
var x509List = []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}

// parseSignatureLists returns the certificates in EFI_SIGNATURE_LISTs (UEFI, 32.4.1): a type; the sizes of the list, of an
// additional header, and of an entry; the header; and entries that consist of owner and data. It stops at malformed data.
func parseSignatureLists(data []byte) []*x509.Certificate {
	const header, owner = 28, 16
	var certs []*x509.Certificate
	for len(data) >= header {
		size := uint64(binary.LittleEndian.Uint32(data[16:]))
		more := uint64(binary.LittleEndian.Uint32(data[20:]))
		entry := uint64(binary.LittleEndian.Uint32(data[24:]))
		if size > uint64(len(data)) || header+more > size || entry <= owner {
			break
		}
		if bytes.Equal(data[:16], x509List) {
			for e := range slices.Chunk(data[header+more:size], int(entry)) {
				if len(e) < owner {
					break
				}
				if cert, err := x509.ParseCertificate(e[owner:]); err == nil {
					certs = append(certs, cert)
				}
			}
		}
		data = data[size:]
	}
	return certs
}
