// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// takesOut tells whether a verb leads away from a patch: a process without the patch is as the verb would leave it.
func takesOut(verb Verb) bool {
	return verb == lpnl.VerbRestore || verb == lpnl.VerbUnload || verb == Revert
}

// settled tells whether the kernel refused because the patch is already in the state that the verb leads to.
func settled(verb Verb, err error) bool {
	code := RefusalCode(err)
	return code == lpnl.RefusalAlready || code == lpnl.RefusalNotApplied && verb == lpnl.VerbRestore
}

// settle tells whether a process was refused because it is already as the verb would leave it, which is the one meaning of
// "nothing to do". That a patch is not there is a matter of its name too: the file that was given may be another one than
// what the process has under this name, which somebody who takes it out does not expect to stay.
func (s *Session) settle(j job, out *Outcome) {
	if out.Settled = settled(j.verb, out.Err); out.Settled {
		return
	}
	if code := RefusalCode(out.Err); !takesOut(j.verb) || code != lpnl.RefusalNotLoaded && code != lpnl.RefusalImageMissing {
		return
	}
	name, t := j.patch.Name, out.Process
	v := s.view(t)
	has, err := s.named(v, name)
	if !v.fresh && slices.ContainsFunc(has, func(r lpnl.Report) bool { return r.Hash == out.Report.Hash }) {
		if v, err = s.freshView(t); err == nil { // it was there, and is not any more
			has, err = s.named(v, name)
		}
	}
	switch {
	case err != nil:
		out.Err = err
	case len(has) > 0:
		out.Err = lacking(name, t, "%v has a patch %q that is not known to be this one; give the name in place of the file to take it out")
	default:
		out.Settled, out.Err = true, lacking(name, t, "%v has no patch %q loaded")
	}
}

// lacking is the refusal for a process that does not have a patch. The format is given the process and the name.
func lacking(name string, t proc.Process, format string) error {
	return &Refusal{Code: lpnl.RefusalNotLoaded, Message: fmt.Sprintf(format, t, name)}
}
