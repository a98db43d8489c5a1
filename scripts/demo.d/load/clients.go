// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// counts is what all clients have seen so far.
type counts struct {
	requests atomic.Int64
	errors   atomic.Int64 // answers that were not the right one
	resets   atomic.Int64 // connections that were lost or refused
	slowest  atomic.Int64 // in ns, since the last snapshot
}

// snapshot gives the counts as one line, and starts the search for the slowest answer anew.
func (c *counts) snapshot() string {
	return fmt.Sprint(c.requests.Load(), c.errors.Load(), c.resets.Load(), c.slowest.Swap(0)/1000)
}

func (c *counts) took(d time.Duration) {
	c.requests.Add(1)
	for {
		old := c.slowest.Load()
		if int64(d) <= old || c.slowest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// runClients runs that many clients until the context ends.
func runClients(ctx context.Context, c *counts, addr string, clients int, pause time.Duration) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				err := (&client{counts: c, name: fmt.Sprint("load:", i)}).run(ctx, addr, pause)
				if err != nil {
					c.resets.Add(1)
					fmt.Fprintf(os.Stderr, "load: client %d lost its connection: %v\n", i, err)
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// client is one connection with keys of its own, so that it knows what each answer has to be.
type client struct {
	*counts
	*conn
	name  string
	round int64
	dump  string // of a stream with a consumer group
}

// run works until the context ends; an error is one of the connection.
func (c *client) run(ctx context.Context, addr string, pause time.Duration) error {
	var err error
	if c.conn, err = dial(addr); err != nil {
		return err
	}
	defer c.Close()
	if err := c.prepare(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		c.round++
		if err := c.oneRound(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// prepare makes a stream with an entry that a consumer has yet to acknowledge, and remembers its dump: to restore it
// is to run the function that the demo patches, with input that is right and has to stay so.
func (c *client) prepare() error {
	stream := c.name + ":stream"
	for _, request := range [][]string{
		{"DEL", stream, c.name + ":count", c.name + ":list"},
		{"XADD", stream, "1-0", "field", "value"},
		{"XGROUP", "CREATE", stream, "group", "0"},
		{"XREADGROUP", "GROUP", "group", "consumer", "STREAMS", stream, ">"},
	} {
		if _, err := c.do(request...); err != nil {
			return err
		}
	}
	dump, err := c.do("DUMP", stream)
	c.dump, _ = dump.(string)
	return err
}

func (c *client) oneRound() error {
	value := fmt.Sprint(c.name, " value ", c.round)
	for _, r := range []struct {
		want    any
		request []string
	}{
		{"OK", []string{"SET", c.name + ":key", value}},
		{value, []string{"GET", c.name + ":key"}},
		{c.round, []string{"INCR", c.name + ":count"}},
		{int64(1), []string{"LPUSH", c.name + ":list", value}},
		{value, []string{"RPOP", c.name + ":list"}},
		{"OK", []string{"RESTORE", c.name + ":copy", "0", c.dump, "REPLACE"}},
		{int64(1), []string{"XLEN", c.name + ":copy"}},
	} {
		if err := c.expect(r.want, r.request); err != nil {
			return err
		}
	}
	return nil
}

// expect makes one request and counts it. A wrong answer is counted and told; an error is one of the connection.
func (c *client) expect(want any, request []string) error {
	start := time.Now()
	got, err := c.do(request...)
	var refusal errorReply
	if err != nil && !errors.As(err, &refusal) {
		return err
	}
	c.took(time.Since(start))
	if err != nil {
		got = refusal
	}
	if got != want {
		c.errors.Add(1)
		fmt.Fprintf(os.Stderr, "load: %.60q: got %s, want %s\n", request, quote(got), quote(want))
	}
	return nil
}

func quote(v any) string { return strconv.Quote(fmt.Sprint(v)) }
