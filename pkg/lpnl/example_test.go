// SPDX-License-Identifier: GPL-2.0

package lpnl_test

import (
	"errors"
	"fmt"

	"lpatch/pkg/lpnl"
)

// List the patches of all processes, as `lpctl status` does.
func ExampleClient_Status() {
	show := func() error {
		c, err := lpnl.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		reports, err := c.Status()
		for _, r := range reports {
			fmt.Printf("%s[%d]: patch %s is %v since %v\n", r.Comm, r.PID, r.Patch, r.State, r.Since)
		}
		return err
	}
	if err := show(); errors.Is(err, lpnl.ErrNoModule) {
		fmt.Println("the module lpatch is not loaded: modprobe lpatch")
	} else if err != nil {
		fmt.Println(err)
	}
}

// Restore a patch in a process. After a refusal the process is unchanged, and the error contains the reason.
func ExampleClient_Op() {
	restore := func(c *lpnl.Client, patch lpnl.Hash, pid int) error {
		r, err := c.Op(lpnl.VerbRestore, patch, lpnl.Target{PID: pid}, lpnl.Options{})
		var refused *lpnl.Refused
		if errors.As(err, &refused) {
			return fmt.Errorf("%v: %w", r.Refusal, err)
		}
		if err == nil {
			fmt.Printf("%d threads were stopped for %v\n", r.Threads, r.Stop)
		}
		return err
	}
	_ = restore
}

// Receive each state change and each refusal, as `lpctl watch` does.
func ExampleEvents_Receive() {
	watch := func() error {
		events, err := lpnl.DialEvents()
		if err != nil {
			return err
		}
		defer events.Close()
		for {
			r, err := events.Receive()
			if err != nil {
				return err
			}
			fmt.Printf("%s %s[%d]: %v\n", r.Verb, r.Comm, r.PID, r.State)
		}
	}
	fmt.Println(watch())
}
