// SPDX-License-Identifier: GPL-2.0

package sandbox_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lpatch/pkg/sandbox"
	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/testutil/sandboxtest"
)

// TestHostileFiles has a job create files that must not be followed, retained or waited for, in directories used by Take and
// Put.
func TestHostileFiles(t *testing.T) {
	s := sandboxtest.New(t)
	outside := t.TempDir()
	filetest.Tree(t, outside, map[string]string{"secret": "of this machine", "sub/keep": "x"})
	took := func() string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "to")
		if err := s.Take(t.Context(), "/build/out", to, sandbox.Keep{}); err != nil {
			t.Fatal(err)
		}
		return list(t, to)
	}
	says(t, s, sandbox.Job{Env: []string{"outside=" + outside}}, `mkdir -p /build/out/dir; cd /build/out
ln -s "$outside/secret" link; ln -s "$outside" way; ln -s ../../../../../../../../../../etc up; ln -s x beside; ln -s ../up dir/x; mkfifo fifo; echo x >x; chmod 4755 x; ln x hard; printf '\177ELF' >dir/elf`)
	const want = "beside -> x\ndir/\ndir/elf -rw-r--r-- \"\\x7fELF\"\nhard -rwxr-xr-x \"x\\n\"\nx -rwxr-xr-x \"x\\n\"\n"
	if got := took(); got != want {
		t.Errorf("took\n%s\nwant\n%s", got, want)
	}
	// the directory itself is replaced
	says(t, s, sandbox.Job{Env: []string{"outside=" + outside}}, `rm -r /build/out; ln -s "$outside" /build/out`)
	err := s.Take(t.Context(), "/build/out", filepath.Join(t.TempDir(), "to"), sandbox.Keep{})
	if err == nil || !strings.Contains(err.Error(), "/build/out: Cannot open: No such file or directory") {
		t.Errorf("error %v", err)
	}
	from := t.TempDir()
	filetest.Tree(t, from, map[string]string{"secret": "other", ".git/x": "", "a/CVS": ""})
	if err := errors.Join(os.Symlink(outside+"/secret", from+"/link"), syscall.Mkfifo(from+"/fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), from, "/build/out", ".git", "CVS"); err != nil {
		t.Fatal(err)
	}
	if got, want := says(t, s, sandbox.Job{}, "cd /build/out; find . | sort | tr '\\n' ' '; readlink link; stat -c %u secret"), ". ./a ./link ./secret "+outside+"/secret\n1000\n"; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
	says(t, s, sandbox.Job{As: sandbox.Installer, Env: []string{"outside=" + outside}}, `ln -s "$outside" /build/way; mkdir /build/shut; touch /build/shut/x; chmod 0 /build/shut /`)
	if err := sandbox.Remove(t.Context(), s.Dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Dir); err == nil {
		t.Error("the sandbox is there")
	}
	if got, want := list(t, outside), "secret -rw-r--r-- \"of this machine\"\nsub/\nsub/keep -rw-r--r-- \"x\"\n"; got != want {
		t.Errorf("outside is now\n%s", got)
	}
}

// list describes a tree.
func list(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, st os.FileInfo, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || rel == ".":
		case st.IsDir():
			fmt.Fprintf(&out, "%s/\n", rel)
		case st.Mode()&os.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			fmt.Fprintf(&out, "%s -> %s\n", rel, to)
		default:
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&out, "%s %v %q\n", rel, st.Mode(), data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestHostileArchive replaces tar in the sandbox to create malicious archives.
func TestHostileArchive(t *testing.T) {
	s := sandboxtest.New(t)
	outside := t.TempDir()
	filetest.Tree(t, outside, map[string]string{"secret": "of this machine"})
	s.Limits.Copied, s.Limits.Files = 1<<20, 100
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 1}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	many := make([]tar.Header, 101)
	for i := range many {
		many[i] = file(strconv.Itoa(i))
	}
	for name, c := range map[string]struct {
		entries   []tar.Header
		end, want string
	}{
		"up":             {[]tar.Header{file("../x")}, "", `"../x" is no name below it`},
		"from the root":  {[]tar.Header{file(outside + "/secret")}, "", `"` + outside + `/secret" is no name below it`},
		"through a link": {[]tar.Header{link("way", outside), file("way/secret")}, "", "path escapes from parent"},
		"over a link":    {[]tar.Header{link("way", outside+"/secret"), file("way")}, "", "file exists"},
		"devices": {[]tar.Header{{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, {Typeflag: tar.TypeFifo, Name: "fifo"},
			{Typeflag: tar.TypeLink, Name: "hard", Linkname: outside + "/secret"}}, "", ""},
		"too much":    {[]tar.Header{{Typeflag: tar.TypeReg, Name: "big", Size: 2 << 20}}, "", "there are more than 1048576 bytes"},
		"too many":    {many, "", "there are more than 100 files"},
		"without end": {nil, "while :; do head -c 1M /dev/zero; done", "there is more behind its end"},
		"broken off":  {[]tar.Header{{Typeflag: tar.TypeReg, Name: "big", Size: 1 << 19}}, "", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			var data bytes.Buffer
			w := tar.NewWriter(&data)
			for _, h := range c.entries {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if h.Size == 1 {
					_, _ = w.Write([]byte("x"))
				}
			}
			_ = w.Close()
			to := filepath.Join(t.TempDir(), "to")
			job := sandbox.Job{Name: "job", In: &data, Args: []string{"bash", "-c", "cat; " + c.end}}
			err := s.TakeFrom(t.Context(), job, to, sandbox.Keep{Link: sandbox.AllLinks})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.want == "" && list(t, to) != "" {
				t.Errorf("there is %s", list(t, to))
			}
		})
	}
	if got := list(t, outside); got != "secret -rw-r--r-- \"of this machine\"\n" {
		t.Errorf("outside is now\n%s", got)
	}
}
