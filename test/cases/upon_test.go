// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"regexp"
	"testing"
)

// TestUpon applies a fix upon another one, whose new function and new variable it uses, and takes both off in turn.
func TestUpon(t *testing.T) {
	const base = "victim-pie-gcc-O2"
	v := startVictim(t, base, "-t", "2", "-m", "sleep")
	below, lp, pid := fixtures+base+".lp", fixtures+"upon.lp", fmt.Sprint(v.pid)
	on := fmt.Sprintf(`%s\[%d\]`, regexp.QuoteMeta(base[:15]), v.pid)
	wantRefused := func(message string, args ...string) {
		t.Helper()
		status, _, stderr := lpctl(t, append(args, "--pid", pid)...)
		if status == 0 || !regexp.MustCompile(message).MatchString(stderr) {
			t.Fatalf("lpctl %v: exit status %d: %s\nwant %s", args, status, stderr, message)
		}
	}
	wantRefused("patch upon is built upon patch "+base+", which "+on+` does not have \(build-id [0-9a-f]+\); apply that first, or build one patch of all the fixes`, "apply", lp)
	wantInEffect(t, "applied "+base+" to "+on+".*", "apply", below, "--pid", pid)
	v.wantValue(2)
	wantInEffect(t, "applied upon to "+on+".*", "apply", lp, "--pid", pid)
	v.wantValue(12)
	wantRefused("patch upon is built upon patch "+base+", which --replace takes off; apply it without --replace", "apply", lp, "--replace")
	wantRefused("patch upon is built upon patch "+base+", and is applied in "+on+"; revert that one first", "revert", base)
	wantRefused("value is replaced by patch upon too, which was applied later, restore that one first", "restore", base)
	v.wantValue(12)
	wantInEffect(t, "reverted upon in "+on+".*", "revert", "upon", "--pid", pid)
	v.wantValue(2)
	wantInEffect(t, "reverted "+base+" in "+on+".*", "revert", base, "--pid", pid)
	v.wantValue(1)
}
