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

// moks are what DKMS signs with: on Debian and where DKMS decides, and on Ubuntu.
var moks = []struct{ cert, key string }{
	{"/var/lib/dkms/mok.pub", "/var/lib/dkms/mok.key"},
	{"/var/lib/shim-signed/mok/MOK.der", "/var/lib/shim-signed/mok/MOK.priv"},
}

// lockdownName has how far the kernel is locked down, the level in brackets.
const lockdownName = "sys/kernel/security/lockdown"

// secureBootName is the firmware's variable; a value of 1 says that it starts only what is signed.
const secureBootName = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// mokLists are where the machine owner's keys are that the boot loader shim knows: as the kernel copied them, and the variable.
var mokLists = []struct {
	path   string
	offset int // of the list: variables begin with their attributes
}{
	{"sys/firmware/efi/mok-variables/MokListRT", 0},
	{"sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23", 4},
}

// howToEnroll says how a certificate gets among the machine owner's keys.
const howToEnroll = `"mokutil --import %s" asks for a password; boot, and choose "Enroll MOK" in the screen that comes before the system`

// SecureBoot tells whether this machine takes the module as far as its signature goes, and what to do if not. A module that is
// loaded has been taken.
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

// whySigned is why this kernel takes only modules that are signed; empty if it takes others.
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

// knowsLockdown tells whether the kernel says how far it is locked down, or surely is not: a machine without UEFI, or with Secure
// Boot off, is locked down by a parameter only.
func (m Machine) knowsLockdown() bool {
	if m.exists(lockdownName) {
		return true
	}
	if list, _ := os.ReadDir(filepath.Dir(m.path(lockdownName))); len(list) > 0 {
		return true // mounted, and this kernel cannot be locked down
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

// judgeModule looks at the module's file, where modules must be signed for a reason.
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
	// The kernel does not ask until when a certificate is valid.
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

// howToSign says how a module gets its signature: DKMS gives it one, if it has a key; by hand it takes the kernel's tool.
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

// isEnrolled tells whether the certificate in a file is known to be among the machine owner's keys.
func (m Machine) isEnrolled(path string) bool {
	certs, err := sign.ReadCertificates(m.path(path))
	if err != nil {
		return false
	}
	enrolled, err := m.enrolledKeys()
	return err == nil && slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return slices.ContainsFunc(enrolled, c.Equal) })
}

// enrolledKeys are the certificates that the machine's owner has given to the boot loader.
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

// x509List says of an EFI_SIGNATURE_LIST that it has certificates: EFI_CERT_X509_GUID.
var x509List = []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}

// parseSignatureLists returns the certificates in some EFI_SIGNATURE_LISTs (UEFI, 32.4.1): a type, three sizes (all, a further
// header, one entry), the header, and entries, each with its owner before the data. It stops at what makes no sense.
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
