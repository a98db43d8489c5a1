// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
	"lpatch/pkg/testutil/lpnltest"
)

// slowKernel does nothing before somebody has seen what he is to see.
type slowKernel struct {
	kernel
	seen <-chan struct{}
}

func (k *slowKernel) Op(verb lpnl.Verb, hash lpnl.Hash, t lpnl.Target, o lpnl.Options) (lpnl.Report, error) {
	select {
	case <-k.seen:
	case <-time.After(time.Minute): // nobody has
	}
	return k.kernel.Op(verb, hash, t, o)
}

// TestUpProgress: on a terminal up shows about how many processes the kernel was asked, and what it says is on lines of its own.
func TestUpProgress(t *testing.T) {
	path, pid := patchable(t)
	h := pretend(t, &lpnltest.Kernel{})
	seen := make(chan struct{})
	fake := h.connect
	h.connect = func() (kernel, error) {
		k, err := fake()
		return &slowKernel{k, seen}, err
	}
	const bar = "\r  checking [====================] 1 of 1 processes, "
	here, there := terminalOf(t, 80)
	var shown bytes.Buffer
	var reader sync.WaitGroup
	reader.Go(func() {
		part := make([]byte, 4096)
		for told := false; !bytes.HasSuffix(shown.Bytes(), []byte("end\r\n")); {
			n, err := here.Read(part)
			if err != nil {
				t.Error(err)
				break
			}
			shown.Write(part[:n])
			if !told && strings.Contains(shown.String(), bar) {
				told = true
				close(seen)
			}
		}
	})
	status := h.run([]string{"lpctl", "up", path, "--pid", strconv.Itoa(pid)}, there, there)
	if _, err := there.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	reader.Wait()
	if text := shown.String(); status != 0 || !strings.Contains(text, " s \r\x1b[K") || !strings.HasSuffix(lastLine(text, 3), ": fix applied to 1 process") ||
		lastLine(text, 2) != "0 of 1 processes need something; 1 patched" {
		t.Errorf("status %d; the terminal shows %q", status, text)
	}
}

// lastLine is the nth line from the end of what a terminal was sent, without what was erased.
func lastLine(text string, n int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	if len(lines) < n {
		return ""
	}
	_, line, erased := strings.Cut(lines[len(lines)-n], "\x1b[K")
	if !erased {
		return lines[len(lines)-n]
	}
	return line
}

// TestReporter: no progress is shown to who wants to see errors only, or where nobody looks.
func TestReporter(t *testing.T) {
	_, there := terminalOf(t, 80)
	for _, c := range []struct {
		to         io.Writer
		quiet      string
		said, live bool
	}{
		{there, "--quiet=false", true, true}, {there, "--quiet", false, false}, {&bytes.Buffer{}, "--quiet=false", true, false},
	} {
		up := thisHost().upCommand()
		up.ErrWriter, up.Action = c.to, func(_ context.Context, up *cli.Command) error {
			if r := reporter(up); (r.To != nil) != c.said || r.Live != c.live {
				t.Errorf("%T, %s: %+v", c.to, c.quiet, r)
			}
			return nil
		}
		if err := up.Run(t.Context(), []string{"up", c.quiet}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUpUnasked: a dry run says of a patch that is built upon others what it would do, and that the kernel was not asked.
func TestUpUnasked(t *testing.T) {
	patch := &apply.ScanPatch{PatchFile: &apply.PatchFile{Spec: &patch.Spec{Name: "second", About: &patch.About{CVEs: []string{"CVE-2026-1234"}}}}}
	step := &apply.Step{Service: "nginx.service", Patch: patch, Targets: []proc.Process{{PID: 7, Comm: "nginx"}, {PID: 8, Comm: "nginx"}}}
	for args, want := range map[string]string{
		"":       "nginx.service: second would be applied to 2 processes\n",
		"--json": `"replaced":[]}` + "\n",
	} {
		var out bytes.Buffer
		c := thisHost().upCommand()
		c.Writer, c.Action = &out, func(_ context.Context, c *cli.Command) error {
			u := &upRun{c: c}
			u.tell(lpnl.VerbCheck, step)
			return u.lost
		}
		if err := c.Run(t.Context(), append([]string{"up", "--dry-run"}, strings.Fields(args)...)); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.HasSuffix(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
		if args == "" {
			continue
		}
		var got upJSON
		if err := json.NewDecoder(&out).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Verb != "check" || got.Service != "nginx.service" || got.Patch != "second" || got.PID != 7 || got.State != "" || got.Error != nil || got.About == nil ||
			got.Note != "the kernel was not asked: the patch is built upon others, which are applied before it" {
			t.Errorf("%+v", got)
		}
	}
}
