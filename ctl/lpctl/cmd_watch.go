package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// listener receives events.
type listener interface {
	Receive() (lpnl.Report, error)
	io.Closer
}

// listen joins the group of events; tests replace it.
var listen = func() (listener, error) { return lpnl.DialEvents() }

// eventJSON is an event: what was done, when, and what became of the target.
type eventJSON struct {
	Time time.Time `json:"time"`
	Verb string    `json:"verb"`
	targetJSON
}

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:   "watch",
		Usage:  "show events as they happen, until interrupted",
		Flags:  []cli.Flag{jsonFlag()},
		Action: watch,
	}
}

func watch(c *cli.Context) error {
	events, err := listen()
	if err != nil {
		return err
	}
	defer func() { _ = events.Close() }()
	for {
		r, err := events.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, lpnl.ErrLost) {
			fmt.Fprintf(c.App.ErrWriter, "lpctl: %v\n", err)
			continue
		}
		if err != nil {
			return err
		}
		if err := show(c, r); err != nil {
			return err
		}
	}
}

// show prints an event to stdout: here, refusals are data.
func show(c *cli.Context, r lpnl.Report) error {
	o := apply.Outcome{Process: proc.Process{PID: r.PID, Comm: r.Comm}, Report: r}
	if r.Refusal != lpnl.RefusalNone {
		o.Err = &lpnl.Refused{Report: r}
	}
	now := time.Now()
	if c.Bool("json") {
		return printJSON(c.App.Writer, eventJSON{Time: now, Verb: string(r.Verb), targetJSON: newTargetJSON(r, o.Err)})
	}
	text := sentence(r.Verb, o)
	if o.Err != nil {
		text = fmt.Sprintf("refused to %s %s in %v: %v", r.Verb, r.Patch, o.Process, o.Err)
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s  %s\n", now.Format(time.DateTime), text)
	return err
}
