// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"time"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// count has the kernel count who is in code from before. It waits for threads that cannot be read as long as for ones that are
// in the way.
func (s *Session) count(t proc.Process, hash lpnl.Hash) (lpnl.Report, error) {
	return s.kernel.Op(lpnl.VerbRecount, hash, targetOf(t), lpnl.Options{MaxStop: lpnl.MaxStopDefault, Timeout: quiescentTry})
}

// copyActive takes over who is in code from before.
func copyActive(to *lpnl.Report, from lpnl.Report) {
	to.ActiveThreads, to.ActiveTID = from.ActiveThreads, from.ActiveTID
	to.ActiveFunction, to.ActivePatch = from.ActiveFunction, from.ActivePatch
}

// Recount brings a status up to date. Processes in which threads were let finish in code from before are stopped, each for
// a moment, to see who is still there, and no others are. Where that fails the number stays, and the message says why.
// Those that have ended meanwhile are left out.
func (s *Session) Recount(status []lpnl.Report) []lpnl.Report {
	list := make([]lpnl.Report, 0, len(status))
	vain := map[string]time.Duration{} // spent in vain, by the user
	for _, r := range status {
		if r.ActiveThreads > 0 {
			again, err := s.recountWithin(r, vain)
			switch {
			case absent(err):
				continue
			case err != nil:
				if r.Message != "" {
					r.Message += "; "
				}
				r.Message += fmt.Sprintf("who is still in old code could not be counted again: %v", err)
			default:
				copyActive(&r, again)
			}
		}
		list = append(list, r)
	}
	return list
}

// recountWithin is recount for a user who has time left for it.
func (s *Session) recountWithin(r lpnl.Report, vain map[string]time.Duration) (lpnl.Report, error) {
	user, begin := s.proc.Owner(r.PID), time.Now()
	if vain[user] > s.limits.Recount {
		return lpnl.Report{}, fmt.Errorf("other processes of user %s took too long", user)
	}
	again, err := s.recount(r)
	if err != nil {
		vain[user] += time.Since(begin)
	}
	return again, err
}

// recount holds on to the process, as Session.run does.
func (s *Session) recount(r lpnl.Report) (lpnl.Report, error) {
	t, err := s.proc.Process(r.PID)
	if err != nil {
		return lpnl.Report{}, err
	}
	held, err := s.proc.Hold(t)
	if err != nil {
		return lpnl.Report{}, err
	}
	defer held.Close()
	return s.count(t, r.Hash)
}
