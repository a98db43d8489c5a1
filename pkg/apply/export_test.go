// SPDX-License-Identifier: GPL-2.0

package apply

// Limits are limits, for tests of outside.
type Limits = limits

// Limits are those of a Session, for tests to have less.
func (s *Session) Limits() *Limits { return &s.limits }
