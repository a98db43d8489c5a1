// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/sign"
)

func (h *host) keyCommand() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "change which keys the kernel trusts to sign patches",
		Description: "All of it belongs into an early step of the boot, before signatures are required: from then on only what the kernel's own\n" +
			"keys vouch for is taken, and what is in the keyring .lpatch counts only if it was locked.",
		Commands: []*cli.Command{h.keyAddCommand(), h.keyRevokeCommand(), h.keyLockCommand()},
		Action:   noCommand,
	}
}

func (h *host) keyAddCommand() *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "put certificates into the keyring .lpatch of the kernel, until they expire",
		ArgsUsage: "CERT...",
		Flags:     []cli.Flag{quietFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.eachCertificate(c, "trusted: %q, until %s\n", func(k kernel, cert *x509.Certificate) error {
				if err := sign.Valid(cert, time.Now()); err != nil {
					return err
				}
				return k.KeyAdd(cert.Raw, cert.NotAfter)
			})
		},
	}
}

func (h *host) keyRevokeCommand() *cli.Command {
	return &cli.Command{
		Name:      "revoke",
		Usage:     "have certificates count no more",
		ArgsUsage: "CERT...",
		Flags:     []cli.Flag{quietFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.eachCertificate(c, "not trusted any more: %q, which was until %s\n", func(k kernel, cert *x509.Certificate) error {
				return k.KeyRevoke(cert.Raw)
			})
		},
	}
}

func (h *host) keyLockCommand() *cli.Command {
	return &cli.Command{
		Name:   "lock",
		Usage:  "have the keyring take no more keys until the module is loaded again",
		Flags:  []cli.Flag{quietFlag()},
		Action: h.keyLock,
	}
}

func (h *host) keyLock(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	err = k.KeyLock()
	if errors.Is(err, syscall.EALREADY) {
		return nothing(fmt.Errorf("nothing to do: %w", err))
	}
	if err == nil && !c.Bool("quiet") {
		fmt.Fprintln(c.Writer, "the keyring .lpatch takes no more keys")
	}
	return err
}

// eachCertificate does something with each certificate of the files that are named, and says so.
func (h *host) eachCertificate(c *cli.Command, done string, do func(kernel, *x509.Certificate) error) error {
	if c.NArg() == 0 {
		return fmt.Errorf("the certificates, CERT..., are missing; see %s --help", c.FullName())
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	var there error // of the last one for which there is nothing to do
	some := false
	for _, path := range c.Args().Slice() {
		certs, err := sign.ReadCertificates(path)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			err := do(k, cert)
			if errors.Is(err, fs.ErrExist) {
				there = err
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			some = true
			if !c.Bool("quiet") {
				fmt.Fprintf(c.Writer, done, cert.Subject.CommonName, cert.NotAfter.UTC().Format("2006-01-02"))
			}
		}
	}
	if there != nil && !some {
		return nothing(fmt.Errorf("nothing to do: %w", there))
	}
	return nil
}
