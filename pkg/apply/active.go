package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// quiescentTry is how long a patch of one function waits for a moment in which no thread seems to be in it: long enough
// for calls that are short. A return address that an earlier call left on the stack of a sleeping thread stays there.
const quiescentTry = 100 * time.Millisecond

// attempt is one verb on one target.
type attempt struct {
	kernel Kernel
	hash   lpnl.Hash
	target lpnl.Target
	lone   string // the one function of the patch, if calls of it that are under way may finish in the old code
	note   string
}

// finishing is the note of an operation after which there are threads in code from before.
const finishing = "calls that were under way finish in the code that they began in, or never leave it; \"lpctl status\" tells how many are left"

// op does one of the kernel's verbs. Where the patch is in the wanted state already, but somebody was still in code from
// before, it finds out who is there now.
func (a *attempt) op(verb lpnl.Verb, o lpnl.Options) (lpnl.Report, error) {
	r, err := a.do(verb, o)
	switch {
	case r.ActiveThreads == 0 || verb == lpnl.VerbCheck:
	case err == nil:
		a.note = finishing
	case settled(verb, err):
		if again, err := a.recount(); err == nil {
			copyActive(&r, again)
		}
	}
	return r, err
}

// do does a verb. Quiescence keeps new code from meeting old code that it does not fit. Where a patch replaces a single
// function, and nothing else, there is no such meeting: a call that is under way is a call from before the patch. So if
// the function does not become quiescent soon, it is allowed to be active, and the outcome says who is in it.
func (a *attempt) do(verb lpnl.Verb, o lpnl.Options) (lpnl.Report, error) {
	if a.lone == "" || o.Replace || verb == lpnl.VerbUnload || verb == lpnl.VerbLoad || slices.Contains(o.AllowActive, a.lone) {
		return a.kernel.Op(verb, a.hash, a.target, o)
	}
	first := o
	first.Timeout = min(o.Timeout, quiescentTry)
	r, err := a.kernel.Op(verb, a.hash, a.target, first)
	var refused *lpnl.Refused
	if !errors.As(err, &refused) || r.Refusal != lpnl.RefusalThreadActive {
		return r, err
	}
	o.AllowActive = append(slices.Clone(o.AllowActive), a.lone)
	o.Timeout -= first.Timeout
	again, err := a.kernel.Op(verb, a.hash, a.target, o)
	again.Attempts += r.Attempts
	return again, err
}

// spec is the descriptor of a patch: that of its file, or of the file that the target has mapped, or nil.
func (s *Session) spec(p Patch, t proc.Process) *patch.Spec {
	if p.File != nil {
		return p.File.Spec
	}
	all, err := s.kernel.Status()
	if err != nil {
		return nil
	}
	maps, err := s.proc.Maps(t.PID)
	if err != nil {
		return nil
	}
	for _, r := range all {
		for _, m := range maps {
			if r.PID != t.PID || r.Patch != p.Name || m.Start != r.MappedAt {
				continue
			}
			if f, err := s.proc.OpenMapping(t.PID, m); err == nil {
				defer f.Close()
				if file, err := read(f); err == nil {
					return file.Spec
				}
			}
		}
	}
	return nil
}

// lone names the function of a patch that replaces just that one, which may be active, and no value.
func lone(spec *patch.Spec) string {
	if spec == nil || len(spec.Sites) != 1 || len(spec.Functions) != 1 || !spec.Functions[0].MayBeActive {
		return ""
	}
	return clip(spec.Functions[0].Symbol)
}

// allowable checks the functions that a person allows to be active: the kernel takes any name, and leaves the proof to
// the builder. A compiler's clone has a signature of its own, so old callers must not meet its new version.
func allowable(spec *patch.Spec, p Patch, symbols []string) error {
	for _, symbol := range symbols {
		if spec == nil {
			return fmt.Errorf("only the file of patch %s tells whether %s may be active; give the file in place of the name", p.Name, symbol)
		}
		var names []string
		found, proved := false, true
		for _, f := range spec.Functions {
			names = append(names, clip(f.Symbol))
			found = found || clip(f.Symbol) == symbol
			proved = proved && f.MayBeActive
		}
		if !found {
			return fmt.Errorf("patch %s does not replace a function %s that could be allowed to be active; it replaces: %s",
				spec.Name, symbol, strings.Join(names, ", "))
		}
		if !proved {
			return &lpnl.Refused{Report: lpnl.Report{Patch: spec.Name, Refusal: lpnl.RefusalThreadActive, Function: symbol,
				Message: fmt.Sprintf("patch %s has functions of which calls under way may not finish in the old code, "+
					"so %s must not be active; try again when no thread is in it", spec.Name, symbol)}}
		}
	}
	return nil
}
