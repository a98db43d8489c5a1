// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 ns"}, {1, "1 ns"}, {999, "999 ns"}, {1000, "1 µs"}, {1234, "1.23 µs"}, {87000, "87 µs"}, {87123, "87.1 µs"},
		{999_400, "999 µs"}, {999_600, "1 ms"}, {999_499_999, "999 ms"}, {1_234_567, "1.23 ms"},
		{100 * time.Millisecond, "100 ms"}, {12_345_678, "12.3 ms"}, {999_999_999, "1 s"}, {10 * time.Second, "10 s"},
		{90 * time.Second, "90 s"}, {12345 * time.Second, "12300 s"},
	} {
		if got := duration(c.d); got != c.want {
			t.Errorf("%d ns: %q, want %q", c.d, got, c.want)
		}
	}
}

func TestSentence(t *testing.T) {
	redis := proc.Process{PID: 412, Comm: "redis-server"}
	window := lpnl.Report{Patch: "cve-2026-66373", Functions: 1, Threads: 9, Attempts: 1, Stop: 87 * time.Microsecond, StopLimit: 100 * time.Millisecond}
	for _, c := range []struct {
		verb apply.Verb
		edit func(*lpnl.Report)
		want string
	}{
		{lpnl.VerbApply, func(*lpnl.Report) {}, "applied cve-2026-66373 to redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms)"},
		{lpnl.VerbApply, func(r *lpnl.Report) { r.Functions, r.Values, r.Threads = 0, 2, 1 },
			"applied cve-2026-66373 to redis-server[412]: 2 values, 1 thread, stopped 87 µs (limit 100 ms)"},
		{lpnl.VerbRestore, func(r *lpnl.Report) { r.Functions, r.Values = 3, 1 },
			"restored cve-2026-66373 in redis-server[412]: 3 functions, 1 value, 9 threads, stopped 87 µs (limit 100 ms)"},
		{lpnl.VerbLoad, func(r *lpnl.Report) { r.Attempts, r.MappedAt, r.MappedBytes = 0, 0x1000, 4096 },
			"loaded cve-2026-66373 into redis-server[412]: 1 function, 4096 bytes at 0x1000"},
		{lpnl.VerbApply, func(r *lpnl.Report) { r.ActiveThreads, r.ActiveTID, r.ActiveFunction = 4, 17, "main" },
			"applied cve-2026-66373 to redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms), 4 threads in old code: main (thread 17)"},
		{lpnl.VerbApply, func(r *lpnl.Report) { r.ActiveThreads, r.ActiveTID, r.ActivePatch = 1, 17, "below" },
			"applied cve-2026-66373 to redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms), 1 thread in old code: patch below (thread 17)"},
		{lpnl.VerbCheck, func(r *lpnl.Report) {
			r.Verb, r.ActiveThreads, r.ActiveTID, r.ActiveFunction = lpnl.VerbCheck, 4, 17, "main"
		}, "checked cve-2026-66373: can be applied to redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms), " +
			"4 threads would stay in old code: main (thread 17)"},
		{lpnl.VerbRestore, func(r *lpnl.Report) { r.ActiveThreads = 1 },
			"restored cve-2026-66373 in redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms), 1 thread in old code"},
		{apply.Revert, func(r *lpnl.Report) { r.ActiveThreads, r.ActiveTID, r.ActivePatch = 2, 17, "fix" },
			"restored cve-2026-66373 in redis-server[412]: 1 function, 9 threads, stopped 87 µs (limit 100 ms), 2 threads in old code: patch fix (thread 17)"},
		{lpnl.VerbUnload, func(*lpnl.Report) {}, "unloaded cve-2026-66373 from redis-server[412]: 9 threads, stopped 87 µs (limit 100 ms)"},
		{lpnl.VerbUnload, func(r *lpnl.Report) { r.Attempts = 0 }, "unloaded cve-2026-66373 from redis-server[412]"},
		{"bake", func(r *lpnl.Report) { r.State = lpnl.StateLoaded }, "cve-2026-66373 is loaded in redis-server[412]"},
	} {
		r := window
		c.edit(&r)
		if got := sentence(c.verb, apply.Outcome{Process: redis, Report: r}); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestComplain(t *testing.T) {
	redis := proc.Process{PID: 412, Comm: "redis-server"}
	refused := func(r lpnl.Refusal, text string) error {
		return &lpnl.Refused{Report: lpnl.Report{Refusal: r, Message: text}}
	}
	for _, c := range []struct {
		process proc.Process
		err     error
		settled bool
		want    string
	}{
		{redis, refused(lpnl.RefusalDeadline, "too late"), false, "lpctl: refused: redis-server[412]: too late\n"},
		{redis, refused(lpnl.RefusalImageMissing, "redis-server[412] maps x"), false, "lpctl: refused: redis-server[412] maps x\n"},
		{redis, refused(lpnl.RefusalAlready, "it is"), true, "lpctl: nothing to do: redis-server[412]: it is\n"},
		{redis, errors.New("I/O error"), false, "lpctl: redis-server[412]: I/O error\n"},
		{proc.Process{}, errors.New("there is no process 7"), false, "lpctl: there is no process 7\n"},
	} {
		var b bytes.Buffer
		complain(&b, apply.Outcome{Process: c.process, Err: c.err, Settled: c.settled})
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestRefusalJSON: who refuses makes no difference, and the report of the kernel has no part in what lpctl refuses.
func TestRefusalJSON(t *testing.T) {
	report := lpnl.Report{Patch: "fix", PID: 412, TID: 7, Function: "f", Refusal: lpnl.RefusalThreadActive, Message: "busy"}
	for _, c := range []struct {
		report lpnl.Report
		err    error
		want   errorJSON
	}{
		{report, &lpnl.Refused{Report: report}, errorJSON{Code: "thread-active", Message: "busy", TID: 7, Function: "f"}},
		{lpnl.Report{Patch: "fix", PID: 412}, &apply.Refusal{Code: lpnl.RefusalSiteTaken, Function: "f", Message: "taken"},
			errorJSON{Code: "site-taken", Message: "taken", Function: "f"}},
	} {
		if diff := cmp.Diff(&c.want, newTargetJSON(c.report, c.err).Error); diff != "" {
			t.Error(diff)
		}
		if got := statusOf(c.err); got != exitRefused {
			t.Errorf("%v: exit status %d", c.err, got)
		}
	}
}

func TestCombine(t *testing.T) {
	for _, c := range []struct {
		list []exitStatus
		want exitStatus
	}{
		{nil, exitNothing},
		{[]exitStatus{exitDone}, exitDone},
		{[]exitStatus{exitFailed}, exitFailed},
		{[]exitStatus{exitRefused}, exitRefused},
		{[]exitStatus{exitNothing}, exitNothing},
		{[]exitStatus{exitNothing, exitNothing}, exitNothing},
		{[]exitStatus{exitDone, exitNothing}, exitDone},
		{[]exitStatus{exitDone, exitRefused}, exitSome},
		{[]exitStatus{exitNothing, exitFailed}, exitSome},
		{[]exitStatus{exitRefused, exitRefused}, exitRefused},
		{[]exitStatus{exitRefused, exitFailed}, exitFailed},
		{[]exitStatus{exitNone}, exitNone},
		{[]exitStatus{exitNone, exitNone}, exitNone},
		{[]exitStatus{exitDone, exitNone}, exitSome},
		{[]exitStatus{exitNothing, exitNone}, exitSome},
		{[]exitStatus{exitRefused, exitNone}, exitRefused},
		{[]exitStatus{exitSome}, exitSome},
		{[]exitStatus{exitActive}, exitActive},
		{[]exitStatus{exitDone, exitActive, exitNothing}, exitActive},
		{[]exitStatus{exitActive, exitRefused}, exitSome},
	} {
		if got := combine(c.list); got != c.want {
			t.Errorf("%v: %d, want %d", c.list, got, c.want)
		}
	}
}

// events are what TestWatch receives.
type events []func() (lpnl.Report, error)

func (e *events) Receive() (lpnl.Report, error) {
	next := (*e)[0]
	*e = (*e)[1:]
	return next()
}

func (e *events) Close() error { return nil }

// watchedEvents are a load, some that were lost, a refusal, and an error that ends the watch.
func watchedEvents() (listener, error) {
	report := func(r lpnl.Report) func() (lpnl.Report, error) { return func() (lpnl.Report, error) { return r, nil } }
	fail := func(err error) func() (lpnl.Report, error) {
		return func() (lpnl.Report, error) { return lpnl.Report{}, err }
	}
	return &events{
		report(lpnl.Report{Verb: lpnl.VerbLoad, Patch: "fix", PID: 1, Comm: "init", State: lpnl.StateLoaded, MappedBytes: 4096}),
		fail(lpnl.ErrLost),
		report(lpnl.Report{Verb: lpnl.VerbApply, Patch: "busy", PID: 1, Comm: "init", State: lpnl.StateApplied, ActiveThreads: 2,
			ActiveTID: 8, ActiveFunction: "loop"}),
		report(lpnl.Report{Verb: lpnl.VerbApply, Patch: "fix", PID: 1, Comm: "init", Refusal: lpnl.RefusalThreadActive,
			Message: "too late in _ZN1a1fEi", TID: 7, Function: "two\nlines"}),
		fail(fmt.Errorf("the end")),
	}, nil
}

// watchEvents runs a command that watches those, and returns what it prints.
func watchEvents(t *testing.T, h *host, args string) string {
	t.Helper()
	h.listen = watchedEvents
	var stdout, stderr bytes.Buffer
	code := h.run(append([]string{"lpctl"}, strings.Fields(args)...), &stdout, &stderr)
	if code != 1 || stderr.String() != "lpctl: events were lost: they came faster than they were read\nlpctl: the end\n" {
		t.Errorf("%s: status %d, %q", args, code, stderr.String())
	}
	return stdout.String()
}

func TestWatch(t *testing.T) {
	for args, wants := range map[string][]string{
		"watch":        {"loaded fix into init[1]: 4096 bytes\n", "refused to apply fix in init[1]: too late in a::f(int)\n"},
		"watch --json": {`"verb":"load","patch":"fix","pid":1,`, `"error":{"code":"thread-active","message":"too late in _ZN1a1fEi",`},
	} {
		got := watchEvents(t, thisHost(), args)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", args, want, got)
			}
		}
		for line := range strings.Lines(got) {
			if strings.Contains(args, "json") && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
}

// TestJournal receives what is sent to the journal.
func TestJournal(t *testing.T) {
	h := thisHost()
	h.journalPath = t.TempDir() + "/socket"
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.journalPath, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if got := watchEvents(t, h, "watch --journal"); got != "" {
		t.Errorf("it prints %s", got)
	}
	for _, wants := range [][]string{
		{"MESSAGE=loaded fix into init[1]: 4096 bytes\n", "\nMESSAGE_ID=" + journalID + "\n", "\nLPATCH_VERB=load\n",
			"\nLPATCH_PATCH=fix\n", "\nLPATCH_STATE=loaded\n", "\nOBJECT_PID=1\n", "\nPRIORITY=6\n"},
		{"MESSAGE=applied busy to init[1]: 2 threads in old code: loop (thread 8)\n", "\nLPATCH_ACTIVE_THREADS=2\n", "\nPRIORITY=6\n"},
		{"MESSAGE=refused to apply fix in init[1]: too late in a::f(int)\n", "\nLPATCH_CODE=thread-active\n", "\nLPATCH_TID=7\n",
			"\nLPATCH_FUNCTION=two\\nlines\n", "\nPRIORITY=4\n"},
	} {
		message := make([]byte, 4096)
		n, err := socket.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(message[:n]), want) {
				t.Errorf("no %q in\n%q", want, message[:n])
			}
		}
	}
}

// TestJournalAbout: what a patch is for is in fields, each of which has one value.
func TestJournalAbout(t *testing.T) {
	got := string(encodeJournal(aboutFields(&patch.About{
		Title: "two holes", CVEs: []string{"CVE-2026-0001", "CVE-2026-0002"}, Severity: "high", Package: "x", Version: "1", Fixed: "2", Supersedes: []string{"old"},
	})))
	const want = "LPATCH_CVE=CVE-2026-0001\nLPATCH_CVE=CVE-2026-0002\nLPATCH_TITLE=two holes\nLPATCH_SEVERITY=high\nLPATCH_PACKAGE=x\n" +
		"LPATCH_PACKAGE_VERSION=1\nLPATCH_FIXED_VERSION=2\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := aboutFields(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

// TestNoJournal asks for a journal where there is none.
func TestNoJournal(t *testing.T) {
	h := thisHost()
	h.listen, h.journalPath = watchedEvents, t.TempDir()+"/none"
	var stdout, stderr bytes.Buffer
	code := h.run([]string{"lpctl", "watch", "--journal"}, &stdout, &stderr)
	if want := "lpctl: the journal cannot be reached, is systemd-journald running? "; code != 1 || !strings.HasPrefix(stderr.String(), want) {
		t.Errorf("status %d, %s", code, &stderr)
	}
}

// TestBootSummary counts what is said of entries.
func TestBootSummary(t *testing.T) {
	rows := []*bootJSON{
		{Kept: true, Registered: true, Applied: 3, Failed: 1}, {Kept: true, Disabled: true}, {Kept: true, Disk: string(apply.DiskSuperseded)}, {Registered: true, Applied: 2},
	}
	const want = "4 entries: 2 registered, 1 disabled, 1 superseded, 1 not kept; applied to 5 processes as they started, to 1 not"
	if got := bootSummary(rows); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
