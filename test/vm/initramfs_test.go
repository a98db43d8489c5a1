// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"

	"lpatch/test/vm/protocol"
)

// unpack writes a tree and reads it back: name to content, a link as "-> target", a directory as "dir".
func unpack(t *testing.T, tr tree) map[string]string {
	t.Helper()
	var buf bytes.Buffer
	if err := tr.write(&buf); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	in := cpio.NewReader(&buf)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if parent := filepath.Dir(h.Name); parent != "." && got[parent] != "dir" {
			t.Errorf("%s comes before its directory", h.Name)
		}
		switch {
		case h.Linkname != "":
			got[h.Name] = "-> " + h.Linkname
		case h.Mode&cpio.ModeType == cpio.TypeDir:
			got[h.Name] = "dir"
		default:
			data, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			got[h.Name] = string(data)
		}
	}
}

func check(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: got %q, want %q", name, got[name], text)
		}
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/real", "content")
	if err := os.MkdirAll(dir+"/directory/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/directory/sub/file", "deep")
	for link, target := range map[string]string{"link": "real", "directory/out": "../real", "directory/dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}

	tr := newTree()
	for host, guest := range map[string]string{dir + "/link": dir + "/link", dir + "/directory": dir + "/directory", dir + "/real": "/bin/tool"} {
		if err := tr.addHost(host, guest); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.TrimPrefix(dir, "/")
	check(t, unpack(t, tr), map[string]string{
		"bin":                        "-> usr/bin",
		"usr/bin":                    "dir",
		"usr/bin/tool":               "content",
		here + "/link":               "-> real",
		here + "/real":               "content",
		here + "/directory/sub/file": "deep",
		here + "/directory/out":      "-> ../real",
		here + "/directory/dangling": "-> nowhere",
	})
}

func TestBuildRoot(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	writeFile(t, dir+"/prog", "a program")
	writeFile(t, dir+"/ls", "the user's ls")
	writeFile(t, dir+"/init", "init")
	cfg := Config{Files: []File{{Host: dir + "/prog"}, {Host: dir + "/ls", Guest: "/bin/ls"}, {Host: dir + "/prog", Guest: "sub/p"}}}
	writeFile(t, dir+"/lpatch.ko", "module")
	k := kernelFiles{init: dir + "/init", release: "6.1.0-own", module: dir + "/lpatch.ko"}
	tr, err := buildRoot(cfg, k, protocol.Job{Dir: work, Module: true})
	if err != nil {
		t.Fatal(err)
	}
	w := strings.TrimPrefix(work, "/")
	check(t, unpack(t, tr), map[string]string{
		strings.TrimPrefix(dir, "/") + "/prog": "a program",
		w + "/prog":                            "-> " + dir + "/prog",
		w + "/sub/p":                           "a program",
		"usr/bin/ls":                           "the user's ls",
		"usr/bin/cat":                          "-> /bin/busybox",
		"init":                                 "init",
		"root":                                 "dir",
		"etc/hostname":                         "lpatch\n",
		".lpatch":                              "dir",
		"usr/bin/false":                        "-> /bin/busybox",
		// modprobe finds the module that init loads.
		".lpatch/lpatch.ko":                     "module",
		"usr/lib/modules/6.1.0-own/lpatch.ko":   "-> /.lpatch/lpatch.ko",
		"usr/lib/modules/6.1.0-own/modules.dep": "lpatch.ko:\n",
	})
}

func TestBuildRootRefuses(t *testing.T) {
	for host, want := range map[string]string{
		"/proc/version": "/proc/version: /proc is the guest's own; say where to put it with -f /proc/version:PATH",
		"/nowhere/x":    "lstat /nowhere/x: no such file or directory",
	} {
		_, err := buildRoot(Config{Files: []File{{Host: host}}}, kernelFiles{}, protocol.Job{Dir: "/"})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %q", host, err, want)
		}
	}
}
