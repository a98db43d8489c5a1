// SPDX-License-Identifier: GPL-2.0

package build

import "fmt"

// warnLasting warns about functions whose old bodies are never left by the threads that execute them, so that the fix never
// takes effect there.
func (b *builder) warnLasting() {
	for _, in := range b.inputs {
		for _, ch := range in.Diff.Changed {
			text := ""
			switch old := in.Diff.Old; {
			case old.RunsOnce(ch.Old):
				text = "it runs once, as the program starts, so a process that runs goes on in the old one"
			case old.HasEndlessLoop(ch.Old):
				text = "the old one has a loop without an exit, so a thread that is in it goes on in it"
			default:
				continue
			}
			b.res.Warnings = append(b.res.Warnings, fmt.Sprintf("%s: %s: %s and never gets the fix; have the fix in a function that it calls again and again",
				in.Diff.New.Name, ch.Old.Name, text))
		}
	}
}
