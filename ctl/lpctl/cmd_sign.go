// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/atomicfile"
	"lpatch/pkg/sign"
)

func signCommand() *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "append a signature to a patch file",
		ArgsUsage: "NAME.lp",
		Description: "The signature covers the file and all that the kernel is told of the patch. An earlier one is replaced. Where\n" +
			"the private key cannot be read, as on a token, --message writes what is to be signed to a file, and --signature\n" +
			"appends what was made of it:\n" +
			"openssl cms -sign -binary -noattr -nocerts -md sha256 -in MESSAGE -signer CERT -inkey KEY -outform DER -out SIGNATURE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "key", Usage: "sign with the private key of `FILE`, PEM"},
			&cli.StringFlag{Name: "cert", Usage: "the certificate of the key is in `FILE`, PEM or DER"},
			&cli.StringFlag{Name: "message", Usage: "sign nothing, write what is to be signed to `FILE`"},
			&cli.StringFlag{Name: "signature", Usage: "append the signature of `FILE`, PKCS#7 in DER"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the signed patch to `FILE`, not over the one given"},
			quietFlag(),
		},
		Action: signAction,
	}
}

func signAction(_ context.Context, c *cli.Command) error {
	path, err := argument(c, "the patch file, NAME.lp,")
	if err != nil {
		return err
	}
	withKey := c.IsSet("key") && c.IsSet("cert")
	if (c.IsSet("key") || c.IsSet("cert")) != withKey || countTrue(withKey, c.IsSet("message"), c.IsSet("signature")) != 1 {
		return errors.New("say how to sign: --key and --cert, or --message, or --signature; see lpctl sign --help")
	}
	if c.IsSet("message") && c.IsSet("output") {
		return errors.New("--output is the signed patch, and --message makes none; see lpctl sign --help")
	}
	p, err := apply.OpenSigned(path)
	if err != nil {
		return err
	}
	if c.IsSet("message") {
		return atomicfile.WriteFile(c.String("message"), p.Message, 0o644)
	}
	signature, by, err := signatureFor(c, p)
	if err != nil {
		return err
	}
	out := cmp.Or(c.String("output"), path)
	if err := atomicfile.WriteFile(out, sign.Append(p.Content, signature), 0o644); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		_ = printLine(c.Writer, "signed %s%s: %s", p.Spec.Name, by, out)
	}
	return nil
}

func countTrue(list ...bool) int {
	n := 0
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

// signatureFor makes or reads the signature, and says who made it, if that is known.
func signatureFor(c *cli.Command, p *apply.Signed) (signature []byte, by string, err error) {
	if c.IsSet("signature") {
		signature, err = os.ReadFile(c.String("signature"))
		if err == nil && (len(signature) == 0 || len(signature) > sign.MaxSize) {
			err = fmt.Errorf("%s has %d bytes; a signature has 1 to %d", c.String("signature"), len(signature), sign.MaxSize)
		}
		if err == nil {
			err = sign.Acceptable(signature)
		}
		if errors.Is(err, sign.ErrMalformed) {
			err = fmt.Errorf("%s: %w", c.String("signature"), err)
		}
		return signature, "", err
	}
	key, err := sign.ReadKey(c.String("key"))
	if err != nil {
		return nil, "", err
	}
	certs, err := sign.ReadCertificates(c.String("cert"))
	if err != nil {
		return nil, "", err
	}
	if err := sign.Valid(certs[0], time.Now()); err != nil {
		return nil, "", err
	}
	signature, err = sign.Make(p.Message, key, certs[0])
	return signature, fmt.Sprintf(" as %q", certs[0].Subject.CommonName), err
}
