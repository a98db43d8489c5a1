// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

func TestParseMaps(t *testing.T) {
	const text = `55d0c8a00000-55d0c8a2c000 r--p 00000000 fe:01 1311                       /usr/bin/redis-server
55d0c8a2c000-55d0c8b0f000 r-xp 0002c000 fe:01 1311                       /usr/bin/redis-server (deleted)
55d0ca123000-55d0ca144000 rw-p 00000000 00:00 0                          [heap]
7f1b2c000000-7f1b2c021000 rw-p 00000000 00:00 0 
7f1b30000000-7f1b30001000 r-xp 00001000 08:10 18446744073709551615       /tmp/a b\012c
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	got, err := ParseMaps(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Mapping{
		{Start: 0x55d0c8a00000, End: 0x55d0c8a2c000, Dev: "fe:01", Inode: 1311, Path: "/usr/bin/redis-server"},
		{Start: 0x55d0c8a2c000, End: 0x55d0c8b0f000, Exec: true, Offset: 0x2c000, Dev: "fe:01", Inode: 1311,
			Path: "/usr/bin/redis-server", Deleted: true},
		{Start: 0x55d0ca123000, End: 0x55d0ca144000, Dev: "00:00", Path: "[heap]"},
		{Start: 0x7f1b2c000000, End: 0x7f1b2c021000, Dev: "00:00"},
		{Start: 0x7f1b30000000, End: 0x7f1b30001000, Exec: true, Offset: 0x1000, Dev: "08:10", Inode: 1<<64 - 1, Path: "/tmp/a b\nc"},
		{Start: 0xffffffffff600000, End: 0xffffffffff601000, Exec: true, Dev: "00:00", Path: "[vsyscall]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"x", "1-2", "1-z r-xp 0 0:0 1", "1-2 r-xp 0 0:0", "1-2 r 0 0:0 1", "1-2 r-xp 0 0:0 x"} {
		if m, err := ParseMaps(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for %+v", bad, m)
		}
	}
}

// stat returns the content of /proc/PID/stat.
func stat(pid, comm, state, flags, threads, start string) string {
	return pid + " (" + comm + ") " + state + " 1 2 3 4 5 " + flags + " 7 8 9 10 11 12 13 14 15 16 " + threads + " 0 " + start + " 23 24\n"
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		text string
		want Stat
	}{
		{stat("412", "redis-server", "S", "4194560", "9", "777"), Stat{PID: 412, Comm: "redis-server", State: 'S', Threads: 9, StartTime: 777}},
		{stat("7", "a) R (b c", "R", "0", "1", "1"), Stat{PID: 7, Comm: "a) R (b c", State: 'R', Threads: 1, StartTime: 1}},
		{stat("2", "kthreadd", "S", "2129984", "1", "0"), Stat{PID: 2, Comm: "kthreadd", State: 'S', Kernel: true, Threads: 1}},
	} {
		got, err := ParseStat(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", stat("x", "c", "S", "0", "1", "1"), stat("1", "c", "S", "0", "1", "-1")} {
		if s, err := ParseStat(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, s)
		}
	}
}

// fake creates a /proc with a few processes.
func fake(t *testing.T) (FS, string) {
	t.Helper()
	root := t.TempDir()
	exe := filepath.Join(root, "program")
	files := map[string]string{
		"program":          "",
		"self/status":      "Tgid:\t1\n",
		"412/status":       "Name:\tredis-server\nTgid:\t412\n",
		"412/stat":         stat("412", "redis-server", "S", "0", "9", "777"),
		"412/maps":         "1000-2000 r-xp 00000000 fe:01 5 /usr/bin/redis-server\n",
		"412/map_files/.x": "",
		"412/cgroup":       "1:name=systemd:/\n0::/system.slice/redis.service/worker\n",
		"90/cgroup":        "0::/system.slice/redis.service2\n",
		"91/cgroup":        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/redis.service\n",
		"92/cgroup":        "0::/user.slice/user-1000.slice/user@1000.service/system.slice/redis.service\n",
		"93/cgroup":        "0::/machine.slice/machine-a.scope/system.slice/redis.service\n",
		"94/cgroup":        "0::/system.slice/system-getty.slice/getty@tty1.service\n",
		"413/status":       "Tgid:\t412\n", // a thread of 412
		"413/cgroup":       "0::/system.slice/redis.service/worker\n",
		"7/status":         "Tgid:\t7\n",
		"7/stat":           stat("7", "gone", "Z", "0", "1", "5"),
		"2/status":         "Tgid:\t2\n",
		"2/stat":           stat("2", "kthreadd", "S", "2129984", "1", "0"),
		"90/status":        "Tgid:\t90\n",
		"90/stat":          stat("90", "odd", "S", "0", "1", "6"),
	}
	for pid := 91; pid <= 94; pid++ {
		files[fmt.Sprintf("%d/status", pid)] = fmt.Sprintf("Tgid:\t%d\n", pid)
		files[fmt.Sprintf("%d/stat", pid)] = stat(fmt.Sprint(pid), "other", "S", "0", "1", "6")
	}
	filetest.Tree(t, root, files)
	for link, to := range map[string]string{"412/exe": exe, "90/exe": "/nowhere", "412/map_files/1000-2000": exe} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return New(root), exe
}

func TestProcess(t *testing.T) {
	f, _ := fake(t)
	redis := Process{PID: 412, Comm: "redis-server", Threads: 9, StartTime: 777}
	for _, pid := range []int{412, 413} {
		p, err := f.Process(pid)
		if err != nil || p != redis {
			t.Errorf("process %d: %+v, %v", pid, p, err)
		}
	}
	for _, c := range []struct {
		pid  int
		gone bool
		want string
	}{
		{9999, true, "there is no process 9999"},
		{7, true, "gone[7] has ended and only waits for its parent"},
		{2, false, "kthreadd[2] is a kernel thread, which has no user-space code to patch"},
	} {
		_, err := f.Process(c.pid)
		if err == nil || err.Error() != c.want || errors.Is(err, ErrNoProcess) != c.gone {
			t.Errorf("process %d: %v", c.pid, err)
		}
	}
}

func TestProcesses(t *testing.T) {
	f, exe := fake(t)
	all, _, err := f.Select(func(p Process) (bool, error) { return p.Comm != "other", nil })
	if err != nil {
		t.Fatal(err)
	}
	redis := Process{PID: 412, Comm: "redis-server", Threads: 9, StartTime: 777}
	odd := Process{PID: 90, Comm: "odd", Threads: 1, StartTime: 6}
	// a real /proc lists only thread group leaders, so 412 would be listed once
	if diff := cmp.Diff([]Process{odd, redis, redis}, all); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	some, _, err := f.ByExe(exe)
	if err != nil || len(some) == 0 || some[0] != redis {
		t.Errorf("by exe: %v, %v", some, err)
	}
	if _, _, err := f.ByExe("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("by exe that is not there: %v", err)
	}
}

func TestCgroups(t *testing.T) {
	f, _ := fake(t)
	for _, c := range []struct {
		find func(string) ([]Process, []error, error)
		name string
		want []int
	}{
		{f.ByCgroup, "/system.slice", []int{90, 94, 412, 412}},
		{f.ByCgroup, "/sys/fs/cgroup/system.slice/redis.service/", []int{412, 412}},
		{f.ByCgroup, "system.slice/redis.service/worker", []int{412, 412}},
		{f.ByCgroup, "/system.slice/redis", nil},
		{f.ByUnit, "redis", []int{412, 412}},
		{f.ByUnit, "redis.service", []int{412, 412}},
		{f.ByUnit, "system.slice", []int{90, 94, 412, 412}},
		{f.ByUnit, "worker", nil},
		{f.ByUnit, "app.slice", nil},
		{f.ByUnit, "user@1000", []int{91, 92}},
		{f.ByUnit, "user-1000.slice", []int{91, 92}},
		{f.ByUnit, "getty@tty1", []int{94}},
		{f.ByCgroup, "/user.slice/user-1000.slice/user@1000.service/app.slice/redis.service", []int{91}},
	} {
		list, _, err := c.find(c.name)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, p := range list {
			pids = append(pids, p.PID)
		}
		if diff := cmp.Diff(c.want, pids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestMaps(t *testing.T) {
	f, _ := fake(t)
	maps, err := f.Maps(412)
	if err != nil || len(maps) != 1 {
		t.Fatalf("%v, %v", maps, err)
	}
	file, err := f.OpenMapping(412, maps[0])
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := f.OpenMapping(412, Mapping{Start: 1, End: 2, Path: "/lib/x"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := f.Maps(9999); !errors.Is(err, ErrNoProcess) {
		t.Error(err)
	}
}

// TestSelf inspects a real process.
func TestSelf(t *testing.T) {
	f := New("/proc")
	p, err := f.Process(os.Getpid())
	if err != nil || p.PID != os.Getpid() || p.StartTime == 0 || p.Threads == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	exe, _, err := f.ByExe("/proc/self/exe")
	if err != nil || len(exe) == 0 {
		t.Errorf("%+v, %v", exe, err)
	}
}

// TestEndsMeanwhile checks that a process which ends during a scan is not reported as unseen, whatever errors /proc returns.
func TestEndsMeanwhile(t *testing.T) {
	f, _ := fake(t)
	if err := os.RemoveAll(filepath.Join(f.root, "413")); err != nil { // a thread of 412, which a real /proc does not list
		t.Fatal(err)
	}
	odd := errors.New("odd")
	for _, c := range []struct {
		name   string
		change func() error
		unseen bool
	}{
		{"lives", func() error { return nil }, true},
		{"another has its pid", func() error {
			return os.WriteFile(f.path(412, "stat"), []byte(stat("412", "redis-server", "S", "0", "9", "778")), 0o644)
		}, false},
		{"has no memory any more", func() error { return os.WriteFile(f.path(412, "maps"), nil, 0o644) }, false},
		{"is gone", func() error { return os.RemoveAll(f.path(412, ".")) }, false},
	} {
		_, unseen, err := f.Select(func(p Process) (bool, error) {
			if p.PID != 412 {
				return false, nil
			}
			if err := c.change(); err != nil {
				t.Error(err)
			}
			return false, odd
		})
		if err != nil || (len(unseen) > 0) != c.unseen {
			t.Errorf("%s: unseen %v, %v", c.name, unseen, err)
		}
	}
}

// leaderless exits its main thread while another one continues.
const leaderless = `
#include <pthread.h>
#include <unistd.h>
static void *on(void *arg) { char c; read(0, &c, 1); _exit(0); }
int main(void) { pthread_t t; if (pthread_create(&t, 0, on, 0)) return 1; pthread_exit(0); }
`

// TestMainThreadEnded inspects a process whose main thread has exited: it must be found with all its mappings.
func TestMainThreadEnded(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("opening what a process maps needs CAP_SYS_ADMIN")
	}
	own := filepath.Join(t.TempDir(), "leaderless")
	gcc := exec.Command("gcc", "-pthread", "-x", "c", "-o", own, "-")
	gcc.Stdin = strings.NewReader(leaderless)
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	child := exec.Command(own)
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = in.Close(), child.Process.Kill(), child.Wait() })
	f, pid := New("/proc"), child.Process.Pid
	for state := byte(0); state != 'Z'; {
		if state, err = f.ThreadState(pid); err != nil {
			t.Fatal(err)
		}
	}
	p, err := f.Process(pid)
	if err != nil || p.Threads < 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	maps, err := f.Maps(pid)
	if err != nil || len(maps) == 0 {
		t.Fatalf("%d mappings, %v", len(maps), err)
	}
	file, err := f.OpenMapping(pid, maps[0])
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if exe, err := f.Exe(pid); err != nil || exe != own {
		t.Errorf("runs %s, %v", exe, err)
	}
	if found, err := f.FindPath(pid, own); err != nil {
		t.Error(err)
	} else {
		found.Close()
	}
	if _, err := f.ReadMemory(pid, maps[0].Start, 4); err != nil {
		t.Error(err)
	}
	if list, unseen, err := f.ByExe(own); err != nil || !slices.Contains(list, p) {
		t.Errorf("by exe: %v, %v, %v", list, unseen, err)
	}
	held, err := f.Hold(p)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if !held.Alive() || f.Ended(p, errors.New("odd")) {
		t.Error("it is taken for one that has ended")
	}
}
