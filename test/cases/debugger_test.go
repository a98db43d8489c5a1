//go:build vm

package cases

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/sign"
)

// signedFile signs a patch file and writes it elsewhere.
func signedFile(t *testing.T, lp string, by identity) string {
	t.Helper()
	s, err := apply.OpenSigned(lp)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := sign.Make(s.Message, by.key, by.cert)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signed.lp")
	if err := os.WriteFile(path, sign.Append(s.Content, signature), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGdbKnows has gdb stop in a function that only a signed patch has, which is mapped from a copy without a path: it knows the
// name, and finds the callers through the patch. test/debuggers does so with patches that are mapped from their files.
func TestGdbKnows(t *testing.T) {
	who := newIdentity(t, "debugger", 1, time.Hour)
	requireSignatures(t, who)
	v := startVictim(t, "victim", "-t", "2", "-m", "spin")
	lp := signedFile(t, fixtures+"victim.lp", who)
	if status, stdout, stderr := lpctl(t, "apply", lp, "--pid", fmt.Sprint(v.pid), "--timeout", "60s"); status != 0 && status != 6 {
		t.Fatalf("%d %s%s", status, stdout, stderr)
	}
	if got := maps(t, v.pid); !strings.Contains(got, "/lpatch:victim-pie-gcc-O2 (deleted)") {
		t.Errorf("it is mapped as\n%s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience(2*time.Minute)) // without the name it never stops
	defer cancel()
	out, err := exec.CommandContext(ctx, "gdb", "-nx", "-batch", "-p", fmt.Sprint(v.pid), "-ex", "break index_of", "-ex", "continue", "-ex", "bt").CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?s)#0 .*index_of \(.*\n#1 .* value \(.*\n#2 .* (check_value|work|worker) \(`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
