// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"lpatch/pkg/boot"
)

func (h *host) bootID() (string, error) {
	id, err := os.ReadFile(h.bootIDPath)
	return strings.TrimSpace(string(id)), err
}

// begin counts this boot for the entries that are about to be registered. If that fails none may be: a boot that fails for
// one of them would not be noticed.
func (b *bootRun) begin(entries []*boot.Entry) error {
	id, err := b.host.bootID()
	if err == nil {
		err = b.registry.Begin(id, entries)
	}
	if err != nil {
		return fmt.Errorf("nothing was registered, because this boot cannot be counted: %w", err)
	}
	return nil
}

// disabled returns a *boot.Disabled for an entry that may not be registered.
func (b *bootRun) disabled(e *boot.Entry) error {
	id, err := b.host.bootID()
	if err != nil {
		return err
	}
	return b.registry.Disabled(id, e)
}

// withdraw takes back what begin counted, for an entry that was not registered.
func (b *bootRun) withdraw(e *boot.Entry) error {
	id, err := b.host.bootID()
	if err != nil {
		return err
	}
	return b.registry.Withdraw(id, e)
}

// success tells that this boot has come up well with the entries that are active in it, and which are not.
func (b *bootRun) success() error {
	id, err := b.host.bootID()
	if err != nil {
		return err
	}
	if err := b.registry.Succeed(id); err != nil {
		return err
	}
	entries, errs := b.registry.List()
	for _, e := range entries {
		err := b.registry.Disabled(id, e)
		var d *boot.Disabled
		if errors.As(err, &d) {
			b.note("%v", d)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	b.say("this boot has succeeded")
	return errors.Join(errs...)
}
