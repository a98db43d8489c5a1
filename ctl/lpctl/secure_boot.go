package main

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

// machineRoot is where the files are that tell of this machine; tests replace it.
var machineRoot = "/"

// moduleFolders are those below /lib/modules/RELEASE where depmod looks for a module that did not come with the kernel.
var moduleFolders = []string{"updates/dkms", "updates", "extra", "weak-updates"}

// moks are what DKMS signs with: on Debian and where DKMS decides, and on Ubuntu.
var moks = []struct{ cert, key string }{
	{"/var/lib/dkms/mok.pub", "/var/lib/dkms/mok.key"},
	{"/var/lib/shim-signed/mok/MOK.der", "/var/lib/shim-signed/mok/MOK.priv"},
}

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

// checkSecureBoot tells whether this machine takes the module as far as its signature goes, and what to do if not.
func checkSecureBoot(release string, loaded bool) check {
	k := check{Name: "secure boot"}
	reason := whySigned()
	switch {
	case reason == "" && secureBoot():
		k.OK, k.Message = true, "it is on, but this kernel takes modules without a signature"
	case reason == "":
		k.OK, k.Message = true, "this kernel takes modules without a signature"
	case loaded:
		k.OK, k.Message = true, reason+"; the module is there, as a part of the kernel or with a signature that it takes"
	default:
		k.OK, k.Message = judgeModule(release, reason)
	}
	return k
}

// whySigned is why this kernel takes only modules that are signed; empty if it takes others.
func whySigned() string {
	why := ""
	if text, err := os.ReadFile(filepath.Join(machineRoot, "sys/kernel/security/lockdown")); err == nil {
		for word := range strings.FieldsSeq(string(text)) {
			if level, ok := strings.CutPrefix(word, "["); ok && level != "none]" {
				why = fmt.Sprintf("the kernel is locked down (%s", strings.TrimSuffix(level, "]"))
				if secureBoot() {
					why += ", as Secure Boot is on"
				}
				why += ")"
			}
		}
	}
	if why == "" {
		text, err := os.ReadFile(filepath.Join(machineRoot, "sys/module/module/parameters/sig_enforce"))
		if err != nil || !strings.HasPrefix(string(text), "Y") {
			return ""
		}
		why = "module.sig_enforce is set"
	}
	return why + ": modules must be signed"
}

func secureBoot() bool {
	value, err := os.ReadFile(filepath.Join(machineRoot, secureBootName))
	return err == nil && len(value) == 5 && value[4] == 1
}

// judgeModule looks at the module's file, where modules must be signed for a reason.
func judgeModule(release, reason string) (ok bool, message string) {
	path, err := findModule(release)
	if err != nil {
		return false, fmt.Sprintf("%s, and there is none for %s; the package lpatch-dkms builds one and signs it", reason, release)
	}
	if !strings.HasSuffix(path, ".ko") {
		return true, fmt.Sprintf("%s; %s is compressed, \"modinfo -F signer lpatch\" tells by whom it is", reason, path)
	}
	file, err := os.ReadFile(filepath.Join(machineRoot, path))
	if err != nil {
		return false, err.Error()
	}
	content, signature, err := sign.SplitModule(file)
	if err != nil {
		return false, fmt.Sprintf("%s, and %s cannot be loaded: %v", reason, path, err)
	}
	if signature == nil {
		return false, fmt.Sprintf("%s, and %s is not; %s", reason, path, howToSign(release, path))
	}
	enrolled, err := enrolledKeys()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Sprintf("%s, and the keys of the machine's owner cannot be read: %v", reason, err)
	}
	// The kernel does not ask until when a certificate is valid.
	now := time.Now()
	if cert, _ := sign.Check(signature, content, enrolled, now); cert != nil {
		return true, fmt.Sprintf("%s, and lpatch is, by the owner's key %q: \"modprobe lpatch\" works", reason, cert.Subject.CommonName)
	}
	for _, mok := range moks {
		certs, err := sign.ReadCertificates(filepath.Join(machineRoot, mok.cert))
		if err != nil {
			continue
		}
		if cert, _ := sign.Check(signature, content, certs, now); cert != nil {
			return false, fmt.Sprintf("%s by a key that the machine knows, and %q, by which lpatch is, is none; "+howToEnroll,
				reason, cert.Subject.CommonName, mok.cert)
		}
	}
	return false, fmt.Sprintf("%s, and whose key signed %s is not known here; if \"modprobe lpatch\" is refused, enroll its certificate: "+
		howToEnroll, reason, path, "CERTIFICATE.der")
}

// howToSign says how a module gets its signature: DKMS gives it one, if it has a key; by hand it takes the kernel's tool.
func howToSign(release, path string) string {
	for _, mok := range moks {
		if _, err := os.Stat(filepath.Join(machineRoot, mok.cert)); err == nil {
			how := fmt.Sprintf("\"/lib/modules/%s/build/scripts/sign-file sha256 %s %s %s\" signs it (or kmodsign, where there is that)",
				release, mok.key, mok.cert, path)
			if isEnrolled(mok.cert) {
				return how + ": the certificate is enrolled"
			}
			return how + fmt.Sprintf(", and the certificate must be enrolled: "+howToEnroll, mok.cert)
		}
	}
	return "make a key and sign it as Documentation/distribution-guide.md tells, or have the package lpatch-dkms do both"
}

// isEnrolled tells whether the certificate in a file is known to be among the machine owner's keys.
func isEnrolled(path string) bool {
	certs, err := sign.ReadCertificates(filepath.Join(machineRoot, path))
	if err != nil {
		return false
	}
	enrolled, err := enrolledKeys()
	return err == nil && slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return slices.ContainsFunc(enrolled, c.Equal) })
}

// findModule finds the module's file for a kernel, as modprobe does.
func findModule(release string) (string, error) {
	for _, folder := range moduleFolders {
		for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
			path := filepath.Join("/lib/modules", release, folder, "lpatch.ko"+suffix)
			if _, err := os.Stat(filepath.Join(machineRoot, path)); err == nil {
				return path, nil
			}
		}
	}
	return "", os.ErrNotExist
}

// enrolledKeys are the certificates that the machine's owner has given to the boot loader.
func enrolledKeys() ([]*x509.Certificate, error) {
	err := os.ErrNotExist
	for _, list := range mokLists {
		var data []byte
		if data, err = os.ReadFile(filepath.Join(machineRoot, list.path)); err == nil && len(data) >= list.offset {
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
