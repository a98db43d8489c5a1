// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/sign"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check the signature of a patch file",
		ArgsUsage: "NAME.lp",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "cert", Usage: "the certificates of `FILE`, PEM or DER, are trusted; may be repeated"},
			quietFlag(),
		},
		Action: verify,
	}
}

func verify(_ context.Context, c *cli.Command) error {
	path, err := argument(c, "the patch file, NAME.lp,")
	if err != nil {
		return err
	}
	if !c.IsSet("cert") {
		return errors.New("say whom to trust: --cert FILE; see lpctl verify --help")
	}
	var certs []*x509.Certificate
	for _, name := range c.StringSlice("cert") {
		list, err := sign.ReadCertificates(name)
		if err != nil {
			return err
		}
		certs = append(certs, list...)
	}
	p, err := apply.OpenSigned(path)
	if errors.Is(err, sign.ErrMalformed) {
		return refusedFile(err)
	}
	if err != nil {
		return err
	}
	if p.Signature == nil {
		return refusedFile(fmt.Errorf("%s is not signed", path))
	}
	cert, err := sign.Check(p.Signature, p.Message, certs, time.Now())
	if err != nil {
		return refusedFile(fmt.Errorf("%s: %w", path, err))
	}
	if !c.Bool("quiet") {
		_ = printLine(c.Writer, "%s is signed by %q", path, cert.Subject.CommonName)
	}
	return nil
}

// refusedFile makes an error for status 2, of a file that must not be used.
func refusedFile(err error) error {
	return &exitError{status: exitRefused, err: fmt.Errorf("refused: %w", err)}
}
