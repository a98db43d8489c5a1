package sign

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Keyring is a keyring of the kernel, named by its serial number.
type Keyring int

// Add puts a certificate into the keyring, where it is trusted until it expires: the kernel itself does not look at the time in
// certificates, but at that of keys. The error is os.ErrPermission if the keyring takes no more keys, or not this one.
func (k Keyring) Add(cert *x509.Certificate, now time.Time) error {
	if err := Valid(cert, now); err != nil {
		return err
	}
	// The time of a key is set by whom it belongs to: it is made in a keyring of this thread, and linked from there.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := unix.AddKey("asymmetric", "", cert.Raw, unix.KEY_SPEC_THREAD_KEYRING)
	if err != nil {
		return fmt.Errorf("the kernel does not take the certificate of %q: %w", cert.Subject.CommonName, err)
	}
	// A fraction of a second less is early enough; 0 would mean never.
	left := max(1, int(cert.NotAfter.Sub(now)/time.Second))
	if _, err := unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, left, 0, 0); err != nil {
		return fmt.Errorf("setting the time of a key: %w", err)
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_LINK, id, int(k), 0, 0); err != nil {
		return k.refused(err)
	}
	return nil
}

func (k Keyring) refused(err error) error {
	switch {
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYREJECTED):
		return errors.New("the keyring .lpatch takes only certificates that a key trusted by the kernel vouches for: " +
			"sign it with such a key (a machine owner key, for one)")
	case errors.Is(err, os.ErrPermission):
		return errors.New("the keyring .lpatch is locked and takes no more keys until the module is loaded again")
	}
	return fmt.Errorf("the keyring .lpatch: %w", err)
}

// Lock has the keyring take no more keys. The error is os.ErrExist if it was restricted before.
func (k Keyring) Lock() error {
	// Without a type the kernel refuses all links (keyctl_restrict_keyring()).
	_, _, errno := unix.Syscall6(unix.SYS_KEYCTL, unix.KEYCTL_RESTRICT_KEYRING, uintptr(k), 0, 0, 0, 0)
	switch {
	case errno == unix.EEXIST:
		return fmt.Errorf("the keyring .lpatch is restricted already: %w", os.ErrExist)
	case errno != 0:
		return fmt.Errorf("the keyring .lpatch: %w", errno)
	}
	return nil
}
