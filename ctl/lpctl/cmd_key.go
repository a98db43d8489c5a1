// SPDX-License-Identifier: GPL-2.0

package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"lpatch/pkg/sign"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name:      "key",
		Usage:     "say which keys the kernel trusts to sign patches",
		ArgsUsage: "add CERT... | revoke CERT... | lock",
		Description: "add puts certificates into the keyring .lpatch of the kernel, until they expire; revoke has them count no more. lock has\n" +
			"the keyring take no more keys until the module is loaded again. All of it belongs into an early step of the boot, before\n" +
			"signatures are required: from then on only what the kernel's own keys vouch for is taken, and what is in the keyring\n" +
			"counts only if it was locked.",
		Flags:  []cli.Flag{quietFlag()},
		Action: keyAction,
	}
}

func keyAction(c *cli.Context) error {
	verb, args := c.Args().First(), c.Args().Tail()
	if verb != "add" && verb != "revoke" && verb != "lock" || (verb != "lock") != (len(args) > 0) {
		return errors.New("say what to do: add CERT..., revoke CERT... or lock; see lpctl key --help")
	}
	k, err := connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	switch verb {
	case "add":
		return eachCertificate(c, args, "trusted: %q, until %s\n", func(cert *x509.Certificate) error {
			if err := sign.Valid(cert, time.Now()); err != nil {
				return err
			}
			return k.KeyAdd(cert.Raw, cert.NotAfter)
		})
	case "revoke":
		return eachCertificate(c, args, "not trusted any more: %q, which was until %s\n", func(cert *x509.Certificate) error {
			return k.KeyRevoke(cert.Raw)
		})
	}
	err = k.KeyLock()
	if errors.Is(err, syscall.EALREADY) {
		return nothing(fmt.Errorf("nothing to do: %w", err))
	}
	if err == nil && !c.Bool("quiet") {
		fmt.Fprintln(c.App.Writer, "the keyring .lpatch takes no more keys")
	}
	return err
}

// eachCertificate does something with each certificate of some files, and says so.
func eachCertificate(c *cli.Context, paths []string, done string, do func(*x509.Certificate) error) error {
	var there error // of the last one for which there is nothing to do
	some := false
	for _, path := range paths {
		certs, err := sign.ReadCertificates(path)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			err := do(cert)
			if errors.Is(err, fs.ErrExist) {
				there = err
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			some = true
			if !c.Bool("quiet") {
				fmt.Fprintf(c.App.Writer, done, cert.Subject.CommonName, cert.NotAfter.UTC().Format("2006-01-02"))
			}
		}
	}
	if there != nil && !some {
		return nothing(fmt.Errorf("nothing to do: %w", there))
	}
	return nil
}
