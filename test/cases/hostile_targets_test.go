// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// TestHostileSearch has a target whose stacks are long, many and always the same: an operation ends soon after its time is up,
// or its client's, and a status does not wait for it.
//
//machine:preempts
func TestHostileSearch(t *testing.T) {
	const timeout, grace = time.Second, 4 * time.Second
	v, _ := attack(t, "sleepers", "100")
	c, watcher := dial(t), dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	began := time.Now()
	applying := begin(func() error {
		_, err := c.Op(lpnl.VerbApply, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{Timeout: timeout})
		return err
	})
	for errors.Is(applying(50*time.Millisecond), errLate) {
		asked := time.Now()
		if _, err := watcher.Status(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(asked); took > patience(time.Second) {
			t.Errorf("a status took %v while the operation went on", took.Round(time.Millisecond))
		}
	}
	took := time.Since(began)
	t.Logf("after %v: %v", took.Round(time.Millisecond), applying(0))
	if wantAnswer(t, lpnl.VerbApply, applying(0)); took > patience(timeout+grace) {
		t.Errorf("an operation with a time-out of %v took %v", timeout, took.Round(time.Millisecond))
	}

	client := applier(t, v, "value")
	ending := begin(client.Wait)
	_ = ending(patience(2 * time.Second)) // it is at work, or done
	_ = client.Process.Kill()
	if err := ending(patience(grace)); errors.Is(err, errLate) {
		t.Errorf("a client that was killed in an operation has not ended %v later", grace)
		ending(time.Minute)
	}
	if answer := v.ask("value"); !strings.HasPrefix(answer, "value ") {
		t.Errorf("the victim says %q", answer)
	}
}

// TestHostileLastUser has nobody keep address spaces that have a patch, and a process no more: records of all others end with
// them, and those when he lets go.
//
//machine:preempts
//machine:needs CONFIG_FUSE_FS CONFIG_USER_NS
func TestHostileLastUser(t *testing.T) {
	lendFUSE(t)
	c := dial(t)
	addBoot(t, c, rawPatch(t, fixtures+"start", "value"), 0)
	addBoot(t, c, rawPatch(t, fixtures+"start-static", "value"), 0)
	const kept = 6
	_, end := attack(t, "lastuser", append(mapping(t, fixtures+"start"), fmt.Sprint(kept))...)
	targets := func() int {
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		return info.Targets
	}
	t.Logf("%d targets of an attacker who keeps %d address spaces and their copies", targets(), kept)
	for range 30 {
		if got := exitOf(t, fixtures+"start-static"); got != 2 {
			t.Fatalf("the program exits with %d, want 2", got)
		}
	}
	began := time.Now()
	for targets() > 2*kept {
		if time.Since(began) > patience(10*time.Second) {
			t.Errorf("after the last of 30 starts there are still %d targets, want at most the %d that are kept", targets(), 2*kept)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	end()
	wantNoTargets(t, c)
}

// TestHostileFork has a target that forks all the time, whose children end at once, while root applies and restores: it goes on
// being patched, no child computes anything wrong, and nothing is left of the dead.
//
//machine:preempts
func TestHostileFork(t *testing.T) {
	v, end := attack(t, "bomb", "200")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	addBoot(t, c, p, 0)
	did := 0
	for began := time.Now(); time.Since(began) < patience(10*time.Second); {
		for i, verb := range []lpnl.Verb{lpnl.VerbRestore, lpnl.VerbApply} {
			asked := time.Now()
			_, err := c.Op(verb, p.Hash, lpnl.Target{PID: v.pid}, patiently)
			if took := time.Since(asked); took > patiently.Timeout+patience(4*time.Second) {
				t.Errorf("%s with a time-out of %v took %v", verb, patiently.Timeout, took)
			}
			if wantAnswer(t, verb, err) {
				v.wantValue(1 + i)
				did++
			}
		}
		if _, err := c.Status(); err != nil {
			t.Fatal(err)
		}
	}
	var forks, wrong int
	if line := v.ask("stop"); !parse(line, "stopped forks %d wrong %d", &forks, &wrong) || wrong != 0 {
		t.Errorf("the bomb says %q", line)
	}
	t.Logf("%d operations among %d forks", did, forks)
	if did < 4 || forks < 100 {
		t.Errorf("%d operations among %d forks, which is no test", did, forks)
	}
	end()
	wantNoTargets(t, c)
}

// TestHostileUnmap has a target unmap, map, move and protect the image and the patch all the time, while root loads, applies,
// restores and unloads: each operation ends, done or refused, what there is of the function's first bytes is whole at each
// moment, what it puts in the patch's place stays as it is, and the target goes on.
//
//machine:preempts
func TestHostileUnmap(t *testing.T) {
	v, end := attack(t, "remap")
	c := dial(t)
	p := rawPatch(t, library, "value")
	manyFixups(p)
	transfer(t, c, p)
	outcomes := map[lpnl.Verb]map[bool]int{}
	caught, sentence := 0, fmt.Sprintf("remap[%d] unmapped or replaced patch %s in its memory while it was loaded; apply it again", v.pid, p.Name)
	for began := time.Now(); time.Since(began) < patience(15*time.Second); {
		for _, verb := range []lpnl.Verb{lpnl.VerbLoad, lpnl.VerbApply, lpnl.VerbRestore, lpnl.VerbApply, lpnl.VerbRestore, lpnl.VerbUnload} {
			asked := time.Now()
			_, err := c.Op(verb, p.Hash, lpnl.Target{PID: v.pid}, lpnl.Options{MaxStop: rawOptions.MaxStop, Timeout: time.Second})
			if took := time.Since(asked); took > patience(6*time.Second) {
				t.Errorf("%s with a time-out of 1s took %v", verb, took)
			}
			if outcomes[verb] == nil {
				outcomes[verb] = map[bool]int{}
			}
			outcomes[verb][wantAnswer(t, verb, err)]++
			var refused *lpnl.Refused
			if errors.As(err, &refused) && refused.Report.Message == sentence {
				caught++
			}
		}
	}
	t.Logf("done or not: %v; %d times the patch was gone when it was to be filled in", outcomes, caught)
	if held(t, v.pid) {
		t.Error("the target sleeps at its gate after the last operation")
	}
	var rounds, looks, torn, spoilt int
	line := v.ask("stop")
	if !parse(line, "stopped rounds %d looks %d torn %d spoilt %d", &rounds, &looks, &torn, &spoilt) || torn+spoilt != 0 {
		t.Errorf("the target says %q", line)
	}
	t.Logf("%d changes of the mappings, %d looks", rounds, looks)
	if rounds < 100 || looks < 100 || caught == 0 {
		t.Errorf("%d changes, %d looks, %d times caught, which is no test", rounds, looks, caught)
	}
	if err := syscall.Kill(v.pid, 0); err != nil {
		t.Errorf("the target: %v", err)
	}
	end()
	wantNoTargets(t, c)
}

// TestHostileSeal has a target seal its own code and the patch in it (mseal): it is patched and restored nevertheless, and to
// unload the patch is refused, and changes nothing.
//
//machine:preempts
func TestHostileSeal(t *testing.T) {
	v, end := attack(t, "seal")
	c := dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbLoad, p, v.pid)
	if answer := v.ask("seal"); answer != "sealed" {
		kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
		if err != nil || answer != "cannot: Function not implemented" || !strings.HasPrefix(string(kernel), "6.1.") {
			t.Fatalf("the target says %q on kernel %s (%v), want sealed", answer, kernel, err)
		}
		do(t, c, lpnl.VerbUnload, p, v.pid)
		return
	}
	for range 2 {
		do(t, c, lpnl.VerbApply, p, v.pid)
		v.wantValue(2)
		do(t, c, lpnl.VerbRestore, p, v.pid)
		v.wantValue(1)
		refuseWith(t, c, lpnl.VerbUnload, p, v.pid, lpnl.RefusalMapFailed,
			fmt.Sprintf("seal[%d] has sealed the mapping of patch %s (mseal), which stays until the process ends", v.pid, p.Name))
	}
	end()
	wantNoTargets(t, c)
}
