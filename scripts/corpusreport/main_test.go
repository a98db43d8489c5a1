// SPDX-License-Identifier: GPL-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const guestLog = `booting
corpus: check before
corpus: seen before old
corpus: apply fix-a.lp 0 {"patch":"fix-a","stop_ns":87000} {"patch":"fix-a","stop_ns":187000}
corpus: apply fix-b.lp 5
corpus: check applied
corpus: seen applied fixed
corpus: revert fix-a.lp 0 {"patch":"fix-a","stop_ns":50000}
corpus: check reverted
corpus: seen reverted old
corpus: client 12 0
corpus: kernel 6.12
corpus: done
`

func TestReadGuest(t *testing.T) {
	tests := []struct {
		name, text, result, reason string
	}{
		{"patched", guestLog, "patched", ""},
		{"client failed", strings.Replace(guestLog, "client 12 0", "client 12 3", 1), "failed", "3 rounds"},
		{"refused", strings.Replace(guestLog, "fix-a.lp 0 {", `fix-a.lp 2 {"error":{"message":"thread 7 is in f"}} {`, 1), "refused", "thread 7"},
		{"not reverted", strings.Replace(guestLog, "revert fix-a.lp 0 {", `revert fix-a.lp 2 {"error":{"message":"too slow"}} {`, 1), "failed", "not reverted: too slow"},
		{"no effect", strings.Replace(guestLog, "applied fixed", "applied old", 1), "failed", "the client saw old old old"},
		{"machine died", strings.Replace(guestLog, "corpus: done\n", "a panic\n", 1), "failed", "a panic"},
		{"service failed", "corpus: failed to start\nno such file\n", "failed", "to start"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := readGuest(tt.text)
			if l.Result != tt.result || !strings.Contains(l.Reason, tt.reason) {
				t.Errorf("got %s, %q", l.Result, l.Reason)
			}
		})
	}
	l := readGuest(guestLog)
	if l.StopMS != 0.187 || l.Answers != 12 || len(l.Applied) != 1 || l.Seen["applied"] != "fixed" {
		t.Errorf("got %+v", l)
	}
}

func TestPatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "images")
	text := `{"image":"p/usr/bin/a","names":["p/usr/bin/a","q/usr/bin/b"],"result":"built"}
{"image":"r/usr/bin/c","names":["r/usr/bin/c"],"result":"refused"}
{"image":"p/usr/lib/d.so.1","names":["p/usr/lib/d.so.1"],"result":"built"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{"packages": "p\nq\n", "paths": "/usr/bin/a\n/usr/bin/b\n/usr/lib/d.so.1\n"} {
		var out strings.Builder
		if err := run([]string{"patched", what, file}, &out); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v, want %q", what, out.String(), err, want)
		}
	}
}

// TestOne goes from what corpus-run leaves behind to the table.
func TestOne(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"images": `{"image":"p/usr/bin/a","verified":"build-id","result":"built","changed":["f","g"],"added":["h"],"fixes":["CVE-1.patch"],"build_s":12.4}
{"image":"p/usr/bin/b","result":"nothing","fixes":["CVE-1.patch"],"build_s":12.4}
{"image":"p/usr/bin/c","verified":"build-id","result":"refused","fixes":["CVE-1.patch"],"build_s":12.4,"refusals":[{"code":"new-tls","symbol":"x","message":"is new"}]}
`,
		"build-status": "4\n", "said": "", "guest": guestLog,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var one, rows strings.Builder
	if err := run([]string{"one", "-source", "p", "-from", "1", "-to", "2", dir}, &one); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "one.json")
	if err := os.WriteFile(file, []byte(one.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"table", file}, &rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| p | 1 → 2 | all 1 | a: f, g (1) | build-id | built, new-tls | 12 | patched | 0.19 | old, fixed, old | 12, 0 |",
		"Built 1, refused 0, nothing to do 0, failed 0. Services patched and reverted under load 1, refused 0, failed 0.",
	} {
		if !strings.Contains(rows.String(), want) {
			t.Errorf("%q is missing in\n%s", want, rows.String())
		}
	}
}
