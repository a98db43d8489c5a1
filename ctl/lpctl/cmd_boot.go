// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
)

func (h *host) bootCommand() *cli.Command {
	return &cli.Command{
		Name:     "boot",
		Usage:    "apply patches to programs as they start",
		Commands: []*cli.Command{h.bootAddCommand(), h.bootRemoveCommand(), h.bootListCommand(), h.bootReplayCommand(), h.bootSuccessCommand(), h.bootSyncCommand(), h.bootBakeCommand()},
		Action:   noCommand,
	}
}

func (h *host) bootAddCommand() *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "keep a patch, and apply it to what starts from now on",
		ArgsUsage: "NAME.lp",
		Flags: []cli.Flag{
			imageFlag(),
			&cli.StringFlag{Name: "on-failure", Value: string(boot.Run), Usage: "`WHAT` to do with a process that cannot be patched, run or kill"},
			&cli.IntFlag{Name: "boots", Value: boot.DefaultBoots, Usage: "disable the patch after `N` boots that did not succeed, 0 for never"},
			nowFlag(), rootFlag(), quietFlag(),
		},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withPatch(c, "the patch, NAME.lp,", func(b *bootRun) error { return b.withKernel((*bootRun).add) })
		},
	}
}

func (h *host) bootRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "apply a patch no more to what starts",
		ArgsUsage: "NAME",
		Flags:     []cli.Flag{nowFlag(), allowNoneFlag("there may be no such entry: exit status 3, not 5"), rootFlag(), quietFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withPatch(c, "the patch, NAME,", func(b *bootRun) error { return b.withKernel((*bootRun).remove) })
		},
	}
}

func (h *host) bootListCommand() *cli.Command {
	return &cli.Command{
		Name:                   "list",
		Usage:                  "show what is kept, what the kernel has, and to how many processes it was applied",
		Flags:                  []cli.Flag{rootFlag(), quietFlag()},
		MutuallyExclusiveFlags: tableFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withEntries(c, func(b *bootRun) error { return b.withKernel((*bootRun).list) })
		},
	}
}

func (h *host) bootReplayCommand() *cli.Command {
	return &cli.Command{
		Name:  "replay",
		Usage: "register all that is kept with the kernel, as at a boot",
		Flags: []cli.Flag{rootFlag(), quietFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withEntries(c, func(b *bootRun) error { return b.withKernel((*bootRun).replay) })
		},
	}
}

func (h *host) bootSuccessCommand() *cli.Command {
	return &cli.Command{
		Name:   "success",
		Usage:  "tell that this boot went well",
		Flags:  []cli.Flag{rootFlag(), quietFlag()},
		Action: func(_ context.Context, c *cli.Command) error { return h.withEntries(c, (*bootRun).success) },
	}
}

func (h *host) bootSyncCommand() *cli.Command {
	return &cli.Command{
		Name:  "sync",
		Usage: "compare what is kept, the files on disk, what the kernel has, and every process",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "fix", Usage: "bring in line what does not agree with the registry", HideDefault: true},
			rootFlag(), quietFlag(),
		},
		MutuallyExclusiveFlags: tableFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withEntries(c, func(b *bootRun) error { return b.withKernel((*bootRun).sync) })
		},
	}
}

func (h *host) bootBakeCommand() *cli.Command {
	return &cli.Command{
		Name:      "bake",
		Usage:     "make a file that has the patch in it and needs no module",
		ArgsUsage: "NAME.lp -o ELF",
		Flags: []cli.Flag{
			imageFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the file to make, `ELF`"},
			rootFlag(), jsonFlag(), quietFlag(),
		},
		Action: func(_ context.Context, c *cli.Command) error {
			return h.withPatch(c, "the patch, NAME.lp,", (*bootRun).bake)
		},
	}
}

func imageFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "image", Usage: "a file that the patch is for is at `PATH`; may be repeated"}
}

func nowFlag() cli.Flag {
	return &cli.BoolFlag{Name: "now", Usage: "what runs already too", HideDefault: true}
}

func rootFlag() cli.Flag {
	return &cli.StringFlag{Name: "root", Value: "/", Usage: "use the entries of the system whose root is `DIR`"}
}

// bootRun is one call of boot.
type bootRun struct {
	host     *host
	c        *cli.Command
	arg      string
	kernel   kernel
	registry boot.Registry
	added    bool     // an entry was made
	active   bool     // and registered
	replaced []string // entries in the place of which the last one was registered
}

// withPatch does something with the patch that is the argument.
func (h *host) withPatch(c *cli.Command, what string, do func(*bootRun) error) error {
	arg, err := argument(c, what)
	if err != nil {
		return err
	}
	return h.begun(c, arg, do)
}

// withEntries does something with all entries.
func (h *host) withEntries(c *cli.Command, do func(*bootRun) error) error {
	if err := noArgument(c); err != nil {
		return err
	}
	return h.begun(c, "", do)
}

func (h *host) begun(c *cli.Command, arg string, do func(*bootRun) error) error {
	b := &bootRun{host: h, c: c, arg: arg, registry: boot.Registry{Root: c.String("root")}}
	if b.registry.Root != "/" {
		b.registry.Copies = "/"
	}
	if st, err := os.Stat(b.registry.Root); err != nil || !st.IsDir() {
		return fmt.Errorf("--root %s: no such directory", b.registry.Root)
	}
	return do(b)
}

// withKernel does something that needs the module.
func (b *bootRun) withKernel(do func(*bootRun) error) (err error) {
	if err := b.host.elsewhere(); err != nil {
		return refused(err)
	}
	if b.kernel, err = b.host.connect(); err != nil {
		return err
	}
	defer func() { _ = b.kernel.Close() }()
	return do(b)
}

// say tells people what was done.
func (b *bootRun) say(format string, args ...any) {
	if !b.c.Bool("quiet") && !b.c.Bool("json") {
		_ = printLine(b.c.Writer, format, args...)
	}
}

// note tells people what they may not expect.
func (b *bootRun) note(format string, args ...any) {
	fmt.Fprintf(b.c.ErrWriter, "lpctl: note: "+format+"\n", args...)
}

func (b *bootRun) add() error {
	f, err := apply.Open(b.arg)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := b.keep(f, &boot.Entry{OnFailure: boot.OnFailure(b.c.String("on-failure")), Boots: b.c.Int("boots")}); err != nil {
		return err
	}
	if b.c.Bool("now") {
		return b.everywhere(lpnl.VerbApply, f.Spec.Name, f)
	}
	return nil
}

// keep makes an entry of a patch, and has the kernel apply it to what starts.
func (b *bootRun) keep(f *apply.PatchFile, e *boot.Entry) (err error) {
	if err := apply.Bootable(f.Spec); err != nil {
		return err
	}
	if err := apply.BootBase(b.registry, f); err != nil {
		return err
	}
	e.Name, e.Added = f.Spec.Name, time.Now().UTC().Truncate(time.Second)
	if e.Images, err = apply.FindImages(b.registry, f.Spec, b.images()); err != nil {
		return superseded(err)
	}
	// Kept first, and registered from what is kept: the kernel holds the file as long as it has the patch.
	if err := b.registry.Add(e, f.Data); err != nil {
		return err
	}
	b.added = true
	switch err := b.register(e); {
	case errors.Is(err, errBootOff):
		b.note("%s is kept for the next boot and not applied to what starts: %v", e.Name, err)
	case err != nil:
		return kept(fmt.Errorf("%w; the entry %s is kept all the same and counts from the next boot on, \"lpctl boot remove %s\" takes it out",
			superseded(err), e.Name, e.Name))
	default:
		b.active = true
		b.sayRegistered(e)
	}
	return nil
}

// kept makes an error that is no refusal of one that came after the entry was kept: something was changed.
func kept(err error) error {
	if statusOf(err) != exitRefused {
		return err
	}
	return &exitError{status: exitSome, err: err}
}

// register has the kernel apply the patch of an entry. The error is errBootOff if nothing is to be registered, and a
// *boot.Disabled if this one is not.
func (b *bootRun) register(e *boot.Entry) error {
	if off, err := b.host.bootIsOff(); err != nil {
		return err
	} else if off {
		return errBootOff
	}
	if err := b.disabled(e); err != nil {
		return err
	}
	file, err := b.registry.Patch(e)
	if err != nil {
		return err
	}
	f, err := apply.OpenFile(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b.replaced, err = apply.Register(b.kernel, b.registry, e, f)
	return err
}

// sayRegistered tells people that an entry was registered, and in the place of which others.
func (b *bootRun) sayRegistered(e *boot.Entry) {
	what := ""
	if len(b.replaced) > 0 {
		what = ", in the place of " + strings.Join(b.replaced, ", ")
	}
	b.say("%s is applied to what starts from now on%s", e.Name, what)
}

// everywhere carries out a verb on all that runs, after something was done; there may be nothing.
func (b *bootRun) everywhere(verb apply.Verb, name string, f *apply.PatchFile) error {
	r, err := apply.New(b.kernel, b.host.proc).RunSelected(verb, apply.PatchRef{File: f, Name: name}, apply.Selection{All: true},
		lpnl.Options{MaxStop: lpnl.MaxStopDefault, Timeout: 10 * time.Second})
	r.Misses = nil
	return cmp.Or(err, report(b.c, verb, name, r, exitDone))
}

func (b *bootRun) remove() error {
	name := strings.TrimSuffix(b.arg, ".lp")
	n, err := apply.Unregister(b.kernel, name)
	if err != nil {
		return fmt.Errorf("%w; if %s has an entry, it is kept", err, name)
	}
	switch err := b.registry.Remove(name); {
	case errors.Is(err, boot.ErrNoEntry) && n == 0:
		next := "see lpctl boot list"
		if b.c.Bool("now") {
			next = fmt.Sprintf("what runs with the patch goes back with: lpctl revert %s --all", name)
		}
		return unmatched(err.Error()+"; "+next, b.c.Bool("quiet"), b.c.Bool("allow-none"))
	case err != nil && !errors.Is(err, boot.ErrNoEntry):
		return err
	}
	b.say("%s is not applied any more to what starts", name)
	if b.c.Bool("now") {
		return b.everywhere(apply.Revert, name, nil)
	}
	return nil
}

// replay registers all entries that are kept. One whose file has another version by now is kept, and said to be
// superseded; one that was active in too many boots that failed is not registered; the others are, whatever becomes of one.
func (b *bootRun) replay() error {
	if err := b.host.refuseIfOff(); err != nil {
		return err
	}
	entries, errs := b.registry.List()
	if err := b.begin(entries); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if len(entries)+len(errs) == 0 {
		return nothing(errors.New("nothing to do: there are no boot entries"))
	}
	var all []exitStatus
	for _, err := range errs {
		all = append(all, b.failed(err))
	}
	var gone []string // the power failed before they could be taken out
	for _, e := range entries {
		if !slices.Contains(gone, e.Name) {
			all = append(all, b.replayOne(e))
			gone = append(gone, b.replaced...)
		}
	}
	return exitWith(all)
}

// replayOne registers one entry, and says what came of it.
func (b *bootRun) replayOne(e *boot.Entry) exitStatus {
	b.replaced = nil
	err := b.register(e)
	var old *apply.Superseded
	var disabled *boot.Disabled
	switch {
	case errors.As(err, &old):
		b.note("%s is superseded: %v", e.Name, err)
		if err := b.withdraw(e); err != nil {
			return b.failed(err)
		}
	case errors.As(err, &disabled):
		b.note("%v", err)
	case err != nil:
		return b.failed(fmt.Errorf("%s: %w", e.Name, err))
	default:
		b.sayRegistered(e)
	}
	return exitDone
}

// failed says why an entry failed, and returns the exit status for it.
func (b *bootRun) failed(err error) exitStatus {
	complainOf(b.c.ErrWriter, err)
	return statusOf(err)
}

// superseded makes a refusal of the error that says so.
func superseded(err error) error {
	var old *apply.Superseded
	if errors.As(err, &old) {
		return refused(fmt.Errorf("%w; rebuild the patch for this version", err))
	}
	return err
}
