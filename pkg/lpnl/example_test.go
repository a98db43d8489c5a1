// SPDX-License-Identifier: GPL-2.0

package lpnl_test

import (
	"errors"
	"fmt"
	"log"

	"lpatch/pkg/lpnl"
)

// What is applied to which processes, as `lpctl status` shows it.
func ExampleClient_Status() {
	c, err := lpnl.Dial()
	if errors.Is(err, lpnl.ErrNoModule) {
		log.Fatal("the module lpatch is not loaded: modprobe lpatch")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	reports, err := c.Status()
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range reports {
		fmt.Printf("%s[%d]: patch %s is %v since %v\n", r.Comm, r.PID, r.Patch, r.State, r.Since)
	}
}

// A patch that a process has is taken out of use. A refusal changes nothing, and its sentence says why.
func ExampleClient_Op() {
	c, err := lpnl.Dial()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	reports, err := c.Status()
	if err != nil {
		log.Fatal(err)
	}
	for _, was := range reports {
		r, err := c.Op(lpnl.VerbRestore, was.Hash, lpnl.Target{PID: was.PID}, lpnl.Options{})
		var refused *lpnl.Refused
		switch {
		case errors.As(err, &refused):
			fmt.Printf("%v: %v\n", r.Refusal, err)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Printf("%d threads were stopped for %v\n", r.Threads, r.Stop)
		}
	}
}

// Each change of state, and each refusal, as `lpctl watch` shows them.
func ExampleEvents_Receive() {
	events, err := lpnl.DialEvents()
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	for {
		r, err := events.Receive()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s[%d]: %v\n", r.Verb, r.Comm, r.PID, r.State)
	}
}
