// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/fuzztest"
)

// FuzzMaps checks that ParseMaps returns an error, or mappings that are the same after they are formatted like the kernel
// does and parsed again.
func FuzzMaps(f *testing.F) {
	f.Add("55d0c8a00000-55d0c8a02000 r-xp 00001000 fe:01 1234                       /usr/bin/a b\\012c (deleted)\n")
	f.Add("7ffd1c5e0000-7ffd1c601000 rw-p 00000000 00:00 0                          [stack]\n7f00-7f01 ---p 0 00:00 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readMaps(t, text)
		if err != nil {
			return
		}
		var out strings.Builder
		for _, m := range list {
			exec, deleted := '-', ""
			if m.Exec {
				exec = 'x'
			}
			if m.Deleted {
				deleted = " (deleted)"
			}
			fmt.Fprintf(&out, "%x-%x r-%cp %08x %s %d   %s%s\n", m.Start, m.End, exec, m.Offset, m.Dev, m.Inode,
				strings.ReplaceAll(m.Path, "\n", `\012`), deleted)
		}
		again, err := readMaps(t, out.String())
		if err != nil {
			t.Fatalf("written again it cannot be read: %v\n%s", err, out.String())
		}
		if diff := cmp.Diff(list, again); diff != "" {
			t.Fatalf("written again it differs:\n%s", diff)
		}
	})
}

func readMaps(t *testing.T, text string) (list []Mapping, err error) {
	t.Helper()
	fuzztest.Bounded(t, len(text), func() { list, err = ParseMaps(strings.NewReader(text)) })
	if err != nil && list != nil {
		t.Fatalf("%d mappings and error %v", len(list), err)
	}
	return list, err
}

// FuzzStat checks that ParseStat returns an error, or a result that is the same after it is formatted and parsed again.
func FuzzStat(f *testing.F) {
	f.Add("1234 (a) b (c) S 1 1234 1234 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 56789 1 2")
	f.Add("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStat(text)
		if err != nil {
			if s != (Stat{}) {
				t.Fatalf("value %+v and error %v", s, err)
			}
			return
		}
		if s.PID < 0 || s.Threads < 0 {
			t.Fatalf("%+v", s)
		}
		flags := 0
		if s.Kernel {
			flags = kernelThread
		}
		again, err := ParseStat(fmt.Sprintf("%d (%s) %s 1 1 1 0 -1 %d 1 0 0 0 0 0 0 0 20 0 %d 0 %d 1 2\n",
			s.PID, s.Comm, []byte{s.State}, flags, s.Threads, s.StartTime))
		if err != nil || again != s {
			t.Fatalf("%+v, written again, is %+v (%v)", s, again, err)
		}
	})
}

// FuzzStatus checks that each value returned by ParseStatus follows its name in the text.
func FuzzStatus(f *testing.F) {
	f.Add("Name:\ta b\nUid:\t0\t0\t0\t0\nSeccomp:\t2\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, value := range ParseStatus(text) {
			if !strings.Contains(text, name+":") || !strings.Contains(text, value) || strings.Contains(name, "\n") {
				t.Fatalf("%q: %q", name, value)
			}
		}
	})
}

// FuzzCgroup checks that the paths returned by ParseCgroup are the same after they are formatted and parsed again.
func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/a.service\n")
	f.Add("4:memory:/x\n1:name=systemd:/a:b (deleted)\n0::/\n")
	f.Fuzz(func(t *testing.T, text string) {
		paths := ParseCgroup(text)
		var out strings.Builder
		for _, p := range paths {
			fmt.Fprintf(&out, "0::%s (deleted)\n", p)
		}
		if again := ParseCgroup(out.String()); !slices.Equal(paths, again) {
			t.Fatalf("%q, written again, is %q", paths, again)
		}
	})
}
