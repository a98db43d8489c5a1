// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/progress"
)

func (h *host) upCommand() *cli.Command {
	return &cli.Command{
		Name:      "up",
		Usage:     "apply patches to all processes that lack them, and keep them for what starts",
		ArgsUsage: "[DIR|NAME.lp]…",
		Description: "Looks at all processes, or those that are named, as scan does, asks the kernel whether they could be patched, and patches\n" +
			"them. The patches are those in DIR, the files NAME.lp, and those of the boot entries. Run again, it does nothing.",
		Flags: append(append(processFlags(), stopFlags(lpnl.VerbLoad)...),
			&cli.BoolFlag{Name: "no-boot", Usage: "add no boot entries", HideDefault: true},
			jsonFlag(), quietFlag()),
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "only say what would be done", HideDefault: true}},
			{
				&cli.StringFlag{Name: "canary", Usage: "patch the service `UNIT` first, and go on only if --check says that it is well"},
				&cli.StringFlag{Name: "check", Usage: "with --canary: a shell `COMMAND` that fails if it is not; then the service is reverted"},
			},
		}}},
		Action: h.runUp,
	}
}

// upRun is one call of up.
type upRun struct {
	host     *host
	c        *cli.Command
	kernel   *askedKernel
	progress progress.Reporter
	session  *apply.Session
	patches  []*apply.ScanPatch
	sel      apply.Selection
	required bool
	options  lpnl.Options
	all      []exitStatus
	changed  bool
	lost     error // what could not be printed
}

func (h *host) runUp(ctx context.Context, c *cli.Command) error {
	sel, err := selection(c)
	if err != nil {
		return err
	}
	o, err := options(c)
	if err != nil {
		return err
	}
	if (c.String("canary") == "") != (c.String("check") == "") {
		return errors.New("--canary and --check go together: the service to patch first, and the command that tells whether it is well")
	}
	if err := h.elsewhere(); err != nil {
		return refused(err)
	}
	patches, bad := apply.OpenPatches(h.registry, c.Args().Slice())
	if len(patches) == 0 {
		return cmp.Or(errors.Join(bad...), unmatchedPatches(c))
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info()
	if err != nil {
		return err
	}
	asked := &askedKernel{kernel: k}
	u := &upRun{host: h, c: c, kernel: asked, progress: reporter(c), session: apply.New(asked, h.proc), patches: patches, sel: sel, required: info.SignatureRequired, options: o}
	if err := u.run(ctx); err != nil {
		return err
	}
	if len(bad) > 0 { // what these are for is not known
		return errors.Join(bad...)
	}
	return u.status()
}

func (u *upRun) run(ctx context.Context) error {
	looked := u.progress.Watch(looking)
	plan, err := u.session.Plan(u.patches, u.sel, u.required)
	looked()
	if err != nil {
		return err
	}
	checked := u.asking("checking", plan)
	plan.Check(u.options)
	checked.Stop()
	if u.c.Bool("dry-run") {
		for _, s := range plan.Steps {
			u.tell(lpnl.VerbCheck, s)
		}
		return u.conclude(plan.Scan)
	}
	if err := u.canary(ctx, plan); err != nil {
		return err
	}
	if !u.c.Bool("no-boot") {
		u.keep()
	}
	u.apply(plan)
	looked = u.progress.Watch(looking)
	after, err := u.session.Scan(u.patches, u.sel, u.required) // what is said is what there is by then
	looked()
	if err != nil {
		return err
	}
	return u.conclude(after)
}

// canary does the steps of one service, and takes them back if it is not well then.
func (u *upRun) canary(ctx context.Context, plan *apply.Plan) error {
	if u.c.String("canary") == "" {
		return nil
	}
	if len(plan.Steps) == 0 {
		return nil // there is nothing to try
	}
	unit := u.c.String("canary")
	if !plan.Concerns(unit) && plan.Concerns(unit+".service") {
		unit += ".service"
	}
	if !plan.Concerns(unit) {
		return refused(fmt.Errorf("no process of the service %s has what a patch is for, so nothing can be tried with it; see lpctl scan", names.Visible(unit)))
	}
	// Who is told to stop meanwhile leaves no service behind that was not found well.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	first := plan.Split(unit)
	u.apply(first)
	why := errors.New("a process of it could not be patched")
	if !slices.ContainsFunc(first.Steps, stepFailed) {
		if why = u.check(ctx); why == nil {
			return nil
		}
	}
	what := u.revert(unit, first)
	return &exitError{status: exitSome, err: fmt.Errorf("service %s: %w; %s, and nothing else was patched", names.Visible(unit), why, what)}
}

// apply does the steps of a plan, and says of each what came of it.
func (u *upRun) apply(p *apply.Plan) {
	line := u.asking("applying", p)
	defer line.Stop()
	p.Apply(u.options, func(s *apply.Step) { line.Above(func() { u.tell(lpnl.VerbApply, s) }) })
}

// stepFailed tells whether a process could not be patched.
func stepFailed(s *apply.Step) bool {
	return slices.ContainsFunc(s.Outcomes, func(o apply.Outcome) bool { return o.Failed() })
}

// revert takes back what was done to the first service, and says what came of that.
func (u *upRun) revert(unit string, first *apply.Plan) string {
	out, replaced, err := first.Revert(u.options)
	failed := 0
	for _, o := range out {
		if !apply.Gone(o.Err) {
			u.object(newUpJSON(apply.Revert, unit, o))
		}
		if o.Failed() {
			complain(u.c.ErrWriter, o)
			failed++
		}
	}
	what := "its patches were reverted"
	switch {
	case failed > 0:
		what = fmt.Sprintf("%d of the %d patches in it could not be reverted", failed, len(out))
	case len(out) == 0 && err == nil:
		what = "no patch was applied to it"
	}
	if err != nil {
		what += fmt.Sprintf(", whether its new processes have them is not known (%v)", err)
	}
	if len(replaced) > 0 {
		what += fmt.Sprintf(", %s, which they had replaced, not applied again", strings.Join(replaced, ", "))
	}
	return what
}

// check runs the command that tells whether the service is well. A signal to end is an answer, too: it is not known to be.
func (u *upRun) check(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", u.c.String("check"))
	cmd.Stdout, cmd.Stderr = u.c.ErrWriter, u.c.ErrWriter
	cmd.WaitDelay = time.Second // for what it has started
	err := cmd.Run()
	if ctx.Err() != nil {
		return errors.New("the check was interrupted")
	}
	if err != nil {
		return fmt.Errorf("the check failed: %w", err)
	}
	return nil
}

// keep adds boot entries for patches that have none, where the files that they are for are on disk.
func (u *upRun) keep() {
	if !u.sel.Empty() {
		return // only what was named is meant
	}
	for _, p := range apply.ToKeep(u.patches) {
		b := &bootRun{host: u.host, c: u.c, kernel: u.kernel, registry: u.host.registry}
		err := p.Keep(b.registry, b.keep)
		if b.added {
			u.changed = true
			u.all = append(u.all, exitDone)
		}
		var absent *apply.NotOnDisk
		var old *apply.Superseded
		switch {
		case err == nil:
			u.tellEntry(p, b, err)
		case errors.Is(err, apply.ErrKept):
		case errors.As(err, &absent), errors.As(err, &old) && !b.added:
			b.note("%s is not kept for what starts: %v", p.Spec.Name, err)
		default:
			u.tellEntry(p, b, err)
			u.all = append(u.all, exitSome)
			fmt.Fprintf(u.c.ErrWriter, "lpctl: %s is not applied to what starts: %v\n", p.Spec.Name, err)
		}
	}
}

func (u *upRun) status() error {
	if !u.changed && !u.c.Bool("dry-run") && len(u.all) == 0 {
		return &exitError{status: exitNothing, err: errors.New("nothing to do: no process lacks a patch"), reported: u.c.Bool("quiet")}
	}
	return exitWith(u.all)
}
