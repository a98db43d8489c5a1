// SPDX-License-Identifier: GPL-2.0

package lpnl_test

import (
	"errors"
	"fmt"

	"lpatch/pkg/lpnl"
)

// What is applied to which processes, as `lpctl status` shows it.
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

// A patch that a process has is taken out of use. A refusal changes nothing, and its sentence says why.
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

// Each change of state, and each refusal, as `lpctl watch` shows them.
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
