// SPDX-License-Identifier: GPL-2.0

package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

// contentInfo is the type ContentInfo of RFC 2315, section 7.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue
}

// Make signs a message with SHA-256. The result is a PKCS#7 message without content, signed attributes and certificates, as
// created by the kernel's scripts/sign-file. The kernel finds the certificate by issuer and serial number.
func Make(message []byte, key crypto.Signer, cert *x509.Certificate) ([]byte, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("the certificate is not that of the private key")
	}
	sd, err := pkcs7.NewSignedData(message)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	switch key.Public().(type) {
	case *rsa.PublicKey:
		// the only name by which the kernel determines the algorithm of the key (pkcs7_sig_note_pkey_algo())
		sd.SetEncryptionAlgorithm(pkcs7.OIDEncryptionAlgorithmRSA)
	case *ecdsa.PublicKey:
		sd.SetEncryptionAlgorithm(pkcs7.OIDDigestAlgorithmECDSASHA256)
	default:
		return nil, fmt.Errorf("keys of type %v are not possible: the kernel verifies RSA and ECDSA", cert.PublicKeyAlgorithm)
	}
	if err := sd.SignWithoutAttr(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	sd.Detach()
	signed := sd.GetSignedData()
	if _, ok := key.Public().(*rsa.PublicKey); ok {
		signed.SignerInfos[0].DigestEncryptionAlgorithm.Parameters = asn1.NullRawValue // RFC 3370, section 3.2
	}
	// Finish would add the certificate, with which the kernel cannot distinguish an expired key from an unknown one
	inner, err := asn1.Marshal(*signed)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{
		Type:    pkcs7.OIDSignedData,
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner},
	})
}

// Check returns the certificate, among certs, whose key made the signature of a message. The certificate must be valid at
// time now.
func Check(signature, message []byte, certs []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	p7, err := parse(signature)
	if err != nil {
		return nil, err
	}
	p7.Content, p7.Certificates = message, certs
	cert := signer(p7, certs)
	if cert == nil {
		by := p7.Signers[0].IssuerAndSerialNumber
		return nil, fmt.Errorf("none of the certificates given is the signer's, which has the serial number %x", by.SerialNumber)
	}
	if err := p7.Verify(); err != nil {
		return nil, fmt.Errorf("the signature does not fit the patch: one of them was changed after signing, or another key made it (%w)", err)
	}
	return cert, Valid(cert, now)
}

// Acceptable returns an error unless a signature has the form that this project and the kernel require; see parse.
func Acceptable(signature []byte) error {
	_, err := parse(signature)
	return err
}

// parse parses a PKCS#7 message by one signer, without content, signed attributes and certificates, of a SHA-256 with RSA or
// ECDSA. The kernel rejects attributes, as for module signatures; it would accept other digests.
func parse(signature []byte) (*pkcs7.PKCS7, error) {
	p7, err := pkcs7.Parse(signature)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(p7.Content) > 0 || len(p7.Signers) != 1 {
		return nil, fmt.Errorf("%w: it has %d signers and %d bytes of content", ErrMalformed, len(p7.Signers), len(p7.Content))
	}
	by := p7.Signers[0]
	switch {
	case len(by.AuthenticatedAttributes)+len(by.UnauthenticatedAttributes) > 0:
		return nil, fmt.Errorf("%w: it has attributes; sign without (openssl cms -noattr)", ErrMalformed)
	case len(p7.Certificates)+len(p7.CRLs) > 0:
		return nil, fmt.Errorf("%w: it has certificates in it; sign without (openssl cms -nocerts)", ErrMalformed)
	case !by.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256):
		return nil, fmt.Errorf("%w: its digest is not SHA-256, but %v; sign with SHA-256 (openssl cms -md sha256)", ErrMalformed, by.DigestAlgorithm.Algorithm)
	}
	for _, algorithm := range []asn1.ObjectIdentifier{pkcs7.OIDEncryptionAlgorithmRSA, pkcs7.OIDEncryptionAlgorithmRSASHA256, pkcs7.OIDDigestAlgorithmECDSASHA256} {
		if by.DigestEncryptionAlgorithm.Algorithm.Equal(algorithm) {
			return p7, nil
		}
	}
	return nil, fmt.Errorf("%w: it is neither by RSA nor by ECDSA with SHA-256, but by %v", ErrMalformed, by.DigestEncryptionAlgorithm.Algorithm)
}

func signer(p7 *pkcs7.PKCS7, certs []*x509.Certificate) *x509.Certificate {
	by := p7.Signers[0].IssuerAndSerialNumber
	for _, c := range certs {
		if c.SerialNumber.Cmp(by.SerialNumber) == 0 && bytes.Equal(c.RawIssuer, by.IssuerName.FullBytes) {
			return c
		}
	}
	return nil
}

// Valid returns an error if a certificate is not valid at a time.
func Valid(cert *x509.Certificate, now time.Time) error {
	const layout = "2006-01-02 15:04:05 MST"
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate of %q is valid only from %s on", cert.Subject.CommonName, cert.NotBefore.UTC().Format(layout))
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate of %q expired on %s", cert.Subject.CommonName, cert.NotAfter.UTC().Format(layout))
	}
	return nil
}
