// SPDX-License-Identifier: GPL-2.0

package soak

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// session is a client that stays: it does what lpctl does, without a process for each verb, and so more often.
type session struct {
	soak    *soak
	kernel  *lpnl.Client
	apply   *apply.Session
	patches map[string]apply.PatchRef // by file
}

func newSession(run *soak) (*session, error) {
	k, err := lpnl.Dial()
	if err != nil {
		return nil, err
	}
	s := &session{soak: run, kernel: k, apply: apply.New(k, proc.New("/proc")), patches: map[string]apply.PatchRef{}}
	for _, p := range run.programs {
		for _, path := range p.Patches {
			f, err := apply.Open(path)
			if err != nil {
				s.close()
				return nil, err
			}
			s.patches[path] = apply.PatchRef{File: f, Name: f.Spec.Name}
		}
	}
	return s, nil
}

func (s *session) close() {
	_ = s.kernel.Close()
	for _, p := range s.patches {
		_ = p.File.Close()
	}
}

// do does it.
func (s *session) do(d deed, sel apply.Selection) *call {
	patch := s.patches[d.patch]
	c := &call{verb: d.verb, args: []string{"(session)", d.verb, patch.Name, fmt.Sprint(sel.PIDs)}, status: "done"}
	if d.replace {
		c.args = append(c.args, "--replace")
	}
	defer s.soak.watch(c.String())()
	o := lpnl.Options{MaxStop: lpnl.MaxStopDefault, Timeout: timeout, Replace: d.replace}
	result, err := s.apply.RunSelected(apply.Verb(d.verb), patch, sel, o)
	if err != nil {
		c.failed, c.said = true, err.Error()
	}
	for _, out := range result.Outcomes {
		r := report{PID: out.Report.PID, Patch: out.Report.Patch, State: out.Report.State.String(), Attempts: out.Report.Attempts,
			StopNS: int64(out.Report.Stop)}
		if out.Err != nil {
			r.Error = &reportError{Code: codeOf(out.Err), Message: out.Err.Error()}
		}
		c.reports = append(c.reports, r)
	}
	c.idle = len(result.Outcomes) == 0 && err == nil
	return c
}

// codeOf names an error as lpctl does.
func codeOf(err error) string {
	var stays *apply.Stays
	if errors.As(err, &stays) { // somebody else applied it between its restore and its unload, say
		err = stays.Cause
	}
	switch {
	case apply.RefusalCode(err) != lpnl.RefusalNone:
		return apply.RefusalCode(err).String()
	case apply.Gone(err):
		return lpnl.RefusalTargetGone.String()
	}
	return "error"
}

// timeout is that of each verb.
const timeout = 2 * time.Second

// option makes an option with a time.
func option(name string, d time.Duration) string {
	return strings.Join([]string{"--", name, "=", d.String()}, "")
}
