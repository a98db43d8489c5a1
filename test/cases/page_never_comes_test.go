// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// waitForPage is the function of the kernel in which a thread waits for a page that userfaultfd has to bring.
const waitForPage = "handle_userfault"

// TestPageNeverComes has an operation wait for a page that does not come: of a site, and of the stack of a thread.
// Meanwhile other targets can be patched. It ends when its time is up, or with its client, and nothing has changed.
//
//machine:preempts
func TestPageNeverComes(t *testing.T) {
	for what, sentence := range map[string]string{
		"lonely": "the page of lonely did not come into the memory of stacks[%[1]d] in time",
		"stack":  "the stack of thread %[2]d (deep) cannot be read",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			v, other := startVictim(t, "stacks"), startVictim(t, "victim")
			c, rival := dial(t), dial(t)
			p, q := rawPatch(t, v.path, "value"), rawPatch(t, other.path, "value")
			addLonely(t, p, v.path)
			transfer(t, c, p)
			transfer(t, rival, q)
			tid := v.enter("deep")
			v.hide(what)

			wantMeanwhile(t, v, func(o lpnl.Options) error {
				_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, o)
				return err
			}, fmt.Sprintf(sentence, v.pid, tid), func() {
				do(t, rival, lpnl.VerbApply, q, other.pid)
				other.wantValue(2)
				do(t, rival, lpnl.VerbRestore, q, other.pid)
				other.wantValue(1)
			})
			do(t, rival, lpnl.VerbUnload, q, other.pid)
			v.wantValue(1)

			if got := v.ask("show"); got != "shown" {
				t.Fatalf("the program says %q", got)
			}
			do(t, c, lpnl.VerbApply, p, v.pid)
			v.wantValue(2)
			do(t, c, lpnl.VerbRestore, p, v.pid)
			do(t, c, lpnl.VerbUnload, p, v.pid)
			v.wantValue(1)
			v.ask("leave")
		})
	}
}

// wantMeanwhile starts an operation on a victim that waits for a page in vain, and is refused in the end; until then
// another is done. A slow machine takes longer for that.
func wantMeanwhile(t *testing.T, v *victim, op func(lpnl.Options) error, refusal string, other func()) {
	t.Helper()
	wantMeanwhileIn(t, v, waitForPage, op, refusal, other)
}

// wantMeanwhileIn is wantMeanwhile for a wait in another function.
func wantMeanwhileIn(t *testing.T, v *victim, function string, op func(lpnl.Options) error, refusal string, other func()) {
	t.Helper()
	for o := shortly; o.Timeout < patience(2*time.Minute); o.Timeout *= 4 {
		done := make(chan error, 1)
		go func() { done <- op(o) }()
		waitFor(t, "the operation to wait for the page", func() bool {
			return len(done) > 0 || operates(t, v.pid, function)
		})
		other()
		meanwhile := len(done) == 0
		if err := <-done; err == nil || err.Error() != refusal {
			t.Fatalf("refused with\n%v\nwant\n%s", err, refusal)
		}
		if meanwhile {
			return
		}
	}
	t.Fatal("the other target was patched only when the operation had ended")
}

// addLonely adds a site in the variable lonely of stacks.c, which has no initial value.
func addLonely(t *testing.T, p *lpnl.Patch, path string) {
	t.Helper()
	p.Sites = append(p.Sites, lpnl.Site{Kind: lpnl.SiteKindBytes, Symbol: "lonely", Vaddr: lookUp(t, path, "lonely").Value,
		Old: make([]byte, 4), New: []byte{1, 2, 3, 4}})
}

// hide takes a page of stacks.c away.
func (v *victim) hide(what string) {
	v.t.Helper()
	var at uint64
	if line := v.ask("hide " + what); !parse(line, "hidden %v", &at) {
		v.t.Fatalf("the program says %q", line)
	}
}

// TestClientKilledAtPage kills a client while its operation waits for a page that does not come: both end.
func TestClientKilledAtPage(t *testing.T) {
	v := startVictim(t, "stacks")
	v.enter("deep")
	v.hide("stack")
	client := applier(t, v, "value")
	waitInside(t, v.pid, waitForPage)
	client.Process.Kill()
	ended := make(chan bool)
	go func() {
		client.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience(30 * time.Second)):
		t.Error("the client has not ended")
	}
	waitFor(t, "the operation to end", func() bool { return len(opThreads(t, v.pid)) == 0 })
	if strings.Contains(maps(t, v.pid), "/raw") {
		t.Error("the patch is still mapped")
	}
	v.ask("show")
	v.ask("leave")
	v.wantValue(1)
}
