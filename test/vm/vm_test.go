// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forKernel runs a test of the harness itself on the first kernel that LPATCH_VM selects, with no module loaded: what the harness
// does is the same on all, and test boots each.
func forKernel(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	names, err := TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("LPATCH_VM selects no kernels")
	}
	t.Run(names[0], func(t *testing.T) {
		cfg := Config{Kernel: names[0], Module: NoModule, Timeout: 2 * time.Minute}
		if err := Prepare(cfg, t.Output()); err != nil {
			t.Fatal(err)
		}
		test(t, cfg)
	})
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	writeFile(t, path, text)
	return path
}

func TestRun(t *testing.T) {
	forKernel(t, func(t *testing.T, cfg Config) {
		var stdout, stderr bytes.Buffer
		cfg.Stdout, cfg.Stderr = &stdout, &stderr
		cfg.Script = script(t, `echo "args: $*"; echo complaint >&2; uname -r; cat; head -c 300000 /dev/zero | tr '\0' x; exit 7`)
		cfg.Args = []string{"a", "b c"}
		result, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := "args: a b c\n" + result.Release + "\n" + strings.Repeat("x", 300000)
		if stdout.String() != want {
			t.Errorf("stdout: %d bytes, beginning %.80q; want %d", stdout.Len(), stdout.String(), len(want))
		}
		if stderr.String() != "complaint\n" {
			t.Errorf("stderr: %q", stderr.String())
		}
		if result.Status != 7 {
			t.Errorf("status %d, want 7", result.Status)
		}
		t.Logf("%s: booted in %v, %v in all", result.Release, result.Boot.Round(10*time.Millisecond), result.Total.Round(10*time.Millisecond))
	})
}

// Everything that is not a word from the guest that it is done has to be a failure.
func TestSilenceIsFailure(t *testing.T) {
	for name, c := range map[string]struct{ script, reason string }{
		"ends without a word": {"echo b >/proc/sysrq-trigger; sleep 100", "the guest ended without saying that it is done"},
		"panics":              {"echo c >/proc/sysrq-trigger; sleep 100", "Kernel panic - not syncing: sysrq triggered crash"},
		"kernel complains":    {"echo 'BUG: just a test' >/dev/kmsg; exit 0", "BUG: just a test"},
		"hangs":               {"sleep 1000", "no end after 20s"},
		"init's port garbled": {"echo nonsense >/dev/ttyS3", "not understood from the guest: nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			forKernel(t, func(t *testing.T, cfg Config) {
				cfg.Script = script(t, "echo the script ran\n"+c.script)
				if name == "hangs" {
					cfg.Timeout = 20 * time.Second
				}
				_, err := Run(t.Context(), cfg)
				var failure *Failure
				if !errors.As(err, &failure) {
					t.Fatalf("got error %v, want a Failure", err)
				}
				if !strings.Contains(failure.Reason, c.reason) {
					t.Errorf("got reason %q, want %q", failure.Reason, c.reason)
				}
				// A machine that ends at once takes with it what is in its serial port.
				said := "the script ran\n"
				if name != "hangs" {
					said = said[:min(len(said), len(failure.Output))]
				}
				if failure.Output != said {
					t.Errorf("got output %q", failure.Output)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	forKernel(t, func(t *testing.T, cfg Config) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		cfg.Script = script(t, "sleep 1000")
		started := time.Now()
		if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v", err)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestPorts asks a machine something, and has the machine ask somebody else, which it cannot.
func TestPorts(t *testing.T) {
	forKernel(t, func(t *testing.T, cfg Config) {
		ports, err := FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		other, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		_, port, _ := net.SplitHostPort(other.Addr().String())
		cfg.Ports = map[int]int{ports[0]: 7}
		cfg.Script = script(t, "echo seven | nc -l -p 7 && ! nc -w 3 10.0.2.2 $1 </dev/null")
		cfg.Args = []string{port}
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan string, 1)
		go func() { answer <- ask(ctx, ports[0]) }()
		result, err := Run(ctx, cfg)
		cancel()
		if got := <-answer; err != nil || result.Status != 0 || got != "seven\n" {
			t.Errorf("status %d, %v; the answer is %q", result.Status, err, got)
		}
	})
}

// ask reads what a port has to say, as soon as somebody is there.
func ask(ctx context.Context, port int) string {
	for ctx.Err() == nil {
		if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			text, err := io.ReadAll(conn)
			conn.Close()
			if err == nil && len(text) > 0 {
				return string(text)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ""
}

// hasParts tells whether a text has the parts, which … divides, one after the other.
func hasParts(text, parts string) bool {
	for part := range strings.SplitSeq(parts, "…") {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

func TestRunCases(t *testing.T) {
	cases := []struct {
		name, script string
		outcome      Outcome
		log          string // part of the log; … for what the kernel may have to say by itself, in its first seconds
	}{
		{"passes", "echo fine; test $(ls /tmp/case | wc -l) = 0; touch /tmp/case/left", Passed, "fine\n"},
		{"fails", "echo on its way; echo said in the kernel >/dev/kmsg; exit 9", Failed, "on its way\n\nexit status 9\n---- kernel log ----\n…said in the kernel\n"},
		{"skips", "echo not here; exit 4", Skipped, "not here\n"},
		{"hangs", "sleep 1000", Failed, "killed after 3s"},
		{"leaves a process", "sleep 1234 & (setsid sleep 1234 &)", Passed, ""},
		{"is alone", "! pgrep -f 'sleep 1234' && test ! -e /tmp/case/left", Passed, ""},
		{"is complained of", "echo 'BUG: sleeping function' >/dev/kmsg", Failed, "\nafter the case: BUG: sleeping function\n"},
		{"is not complained of", "true", Passed, ""},
		{"taints", "echo 512 >/proc/sys/kernel/tainted", Failed, "the kernel is tainted: 0x200"},
		{"panics", "echo last words; sleep 1; echo c >/proc/sysrq-trigger; sleep 100", Lost, "last words\n"},
		{"never comes", "true", Lost, "not run"},
	}
	forKernel(t, func(t *testing.T, cfg Config) {
		var list []Case
		for _, c := range cases {
			list = append(list, Case{Name: c.name, Script: c.script, Timeout: 3 * time.Second})
		}
		results, err := RunCases(t.Context(), cfg, list)
		if err == nil || !strings.HasSuffix(err.Error(), "BUG: sleeping function") { // the first complaint counts
			t.Errorf("got error %v", err)
		}
		for i, r := range results {
			if want := cases[i]; r.Outcome != want.outcome || !hasParts(r.Log, want.log) {
				t.Errorf("%s: %s, want %s with %q in\n%s", r.Name, r.Outcome, want.outcome, want.log, r.Log)
			}
		}
	})
}
