package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"lpatch/pkg/sign"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name:      "key",
		Usage:     "say which keys the kernel trusts to sign patches",
		ArgsUsage: "add CERT... | lock",
		Description: "add puts certificates into the keyring .lpatch of the kernel, until they expire. lock has it take no more keys\n" +
			"until the module is loaded again. Both belong into an early step of the boot.",
		Flags:  []cli.Flag{quietFlag()},
		Action: keyAction,
	}
}

func keyAction(c *cli.Context) error {
	verb, args := c.Args().First(), c.Args().Tail()
	if verb != "add" && verb != "lock" || (verb == "add") != (len(args) > 0) {
		return errors.New("say what to do: add CERT... or lock; see lpctl key --help")
	}
	ring, err := keyring()
	if err != nil {
		return err
	}
	if verb == "add" {
		return addKeys(c, ring, args)
	}
	err = ring.Lock()
	if errors.Is(err, fs.ErrExist) {
		return nothing(fmt.Errorf("nothing to do: %w", err))
	}
	if err == nil && !c.Bool("quiet") {
		fmt.Fprintln(c.App.Writer, "the keyring .lpatch takes no more keys")
	}
	return err
}

// keyring asks the module for its keyring.
func keyring() (sign.Keyring, error) {
	k, err := connect()
	if err != nil {
		return 0, err
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info()
	if err == nil && info.Keyring == 0 {
		err = errors.New("this kernel cannot verify signatures: it is built without CONFIG_SYSTEM_DATA_VERIFICATION")
	}
	return sign.Keyring(info.Keyring), err
}

func addKeys(c *cli.Context, ring sign.Keyring, paths []string) error {
	for _, path := range paths {
		certs, err := sign.ReadCertificates(path)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			if err := ring.Add(cert, time.Now()); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if !c.Bool("quiet") {
				fmt.Fprintf(c.App.Writer, "trusted: %q, until %s\n", cert.Subject.CommonName, cert.NotAfter.UTC().Format("2006-01-02"))
			}
		}
	}
	return nil
}
