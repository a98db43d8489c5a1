package apply

import (
	"errors"
	"fmt"
	"strings"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// A mitigation is there until there is a fix. A patch that replaces the function that it is for takes it off, without being told to.

// supersedes tells whether a patch leaves nothing for another one to do, which is a mitigation.
func supersedes(spec, other *patch.Spec) bool { return other.Mitigation != nil && covers(spec, other) }

// superseded are the mitigations among others that a patch takes off, and whether these are all others.
func (s *Session) superseded(spec *patch.Spec, v *view, others []layer) (over []lpnl.Report, alone bool, err error) {
	left := len(others)
	for _, other := range others {
		if !supersedes(spec, other.Spec) {
			continue
		}
		state, err := s.stateNow(v, other.report)
		if err != nil {
			return nil, false, err
		}
		left--
		if effective(state) {
			over = append(over, other.report)
		}
	}
	return over, left == 0, nil
}

// supersede applies a patch in place of mitigations. Where nothing else is applied, they go in the window in which it comes. That
// asks for more than to apply it would alone: calls that are under way must not be in old code. So if they are and may be, and
// where another patch has to stay, the mitigations go first.
func (a *attempt) supersede(verb lpnl.Verb, o lpnl.Options) (lpnl.Report, error) {
	attempts := 0
	if a.alone {
		at := o
		at.Replace = true
		if a.lone != "" {
			at.Timeout = min(o.Timeout, quiescentTry)
		}
		r, err := a.atOnce(verb, at)
		if err == nil || a.lone == "" || reportOf(err).Refusal != lpnl.RefusalThreadActive {
			return r, err
		}
		attempts = r.Attempts
		o.Timeout -= at.Timeout
	}
	if verb == lpnl.VerbCheck {
		return a.op(verb, o)
	}
	r, err := a.oneByOne(o)
	r.Attempts += attempts
	return r, err
}

// atOnce applies the patch and takes the mitigations off in one window.
func (a *attempt) atOnce(verb lpnl.Verb, o lpnl.Options) (lpnl.Report, error) {
	if verb == lpnl.VerbApply {
		return a.replace(a.over, o)
	}
	return a.op(verb, o)
}

// oneByOne takes the mitigations off, applies the patch, and puts them back if that fails.
func (a *attempt) oneByOne(o lpnl.Options) (lpnl.Report, error) {
	for i, old := range a.over {
		if r, err := a.kernel.Op(lpnl.VerbRestore, old.Hash, a.target, o); err != nil && !lost(err) && !settled(lpnl.VerbRestore, err) {
			return r, a.putBack(a.over[:i], o, err)
		}
	}
	r, err := a.op(lpnl.VerbApply, o)
	if err != nil {
		return r, a.putBack(a.over, o, err)
	}
	return r, a.unloadAll(a.over, o)
}

// putBack applies mitigations again that were taken off for a patch. It returns why that could not be applied, and what is not as it
// was before.
func (a *attempt) putBack(list []lpnl.Report, o lpnl.Options, cause error) error {
	var lostNames []string
	for _, old := range list {
		if _, err := a.kernel.Op(lpnl.VerbApply, old.Hash, a.target, o); err != nil && !settled(lpnl.VerbApply, err) {
			lostNames = append(lostNames, fmt.Sprintf("mitigation %s was taken off for it and could not be put back: %v", old.Patch, err))
		}
	}
	if len(lostNames) == 0 || Gone(cause) {
		return cause
	}
	// Not a refusal any more: something has changed.
	return errors.New(cause.Error() + "; " + strings.Join(lostNames, "; ") + `; apply it again`)
}
