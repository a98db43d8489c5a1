// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// These tell TestHelperListen, in the environment, which group to join, or all; and that it is in a network namespace of its own.
const (
	listenGroup = "LPATCH_LISTEN_GROUP"
	listenOwn   = "LPATCH_LISTEN_OWN"
)

// ways are those in which a socket gets into a multicast group.
var ways = map[string]func(socket, group int) error{
	"membership": func(socket, group int) error {
		// A socket without an address of its own is never sent anything.
		if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		return unix.SetsockoptInt(socket, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
	},
	"bind": func(socket, group int) error {
		if group > 32 {
			return fmt.Errorf("bind has no group %d", group)
		}
		return unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)})
	},
}

// TestHelperListen joins the group, says how that went, waits for a line with the family's number, and says how many messages of
// that family came.
func TestHelperListen(t *testing.T) {
	group := os.Getenv(listenGroup)
	if group == "" {
		t.Skip("a part of TestListen and TestListenBefore")
	}
	sockets := map[string]int{}
	for way, join := range ways {
		s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
		if err != nil {
			t.Fatal(err)
		}
		if os.Getenv(listenOwn) != "" { // refused without CAP_NET_BROADCAST, which is no news
			_ = unix.SetsockoptInt(s, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1)
		}
		sockets[way] = s
		if group == "all" {
			if err := unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
				t.Fatal(err)
			}
			joined := 0
			for g := range 1024 {
				if unix.SetsockoptInt(s, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g+1) == nil {
					joined++
				}
			}
			fmt.Printf("join %s: %d groups\n", way, joined)
			continue
		}
		var number int
		fmt.Sscan(group, &number)
		fmt.Printf("join %s: %v\n", way, join(s, number))
	}
	fmt.Println("ready")
	var family uint16
	if _, err := fmt.Scanln(&family); err != nil {
		t.Fatal(err)
	}
	for way, s := range sockets {
		got := 0
		for b := make([]byte, 1<<16); ; {
			n, _, err := unix.Recvfrom(s, b, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if n >= 6 && binary.NativeEndian.Uint16(b[4:]) == family {
				got++
			}
		}
		fmt.Printf("got %s: %d\n", way, got)
	}
	fmt.Println("ready")
}

// spy is a process that would like to hear what the module tells.
type spy struct {
	t   *testing.T
	in  *os.File
	out *bufio.Scanner
}

// startSpy starts one with these rights, and returns what it says of each way to join.
func startSpy(t *testing.T, group string, as *syscall.SysProcAttr) (*spy, map[string]string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestHelperListen$")
	cmd.Env = append(os.Environ(), listenGroup+"="+group)
	if as.Cloneflags&syscall.CLONE_NEWNET != 0 {
		cmd.Env = append(cmd.Env, listenOwn+"=1")
	}
	cmd.SysProcAttr, cmd.Stderr = as, os.Stderr
	r, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &spy{t: t, in: in, out: bufio.NewScanner(out)}
	return s, s.answers("join ")
}

// answers reads what the spy says until it is ready.
func (s *spy) answers(prefix string) map[string]string {
	s.t.Helper()
	said := map[string]string{}
	for s.out.Scan() {
		if s.out.Text() == "ready" {
			return said
		}
		if line, ok := strings.CutPrefix(s.out.Text(), prefix); ok {
			way, answer, _ := strings.Cut(line, ": ")
			said[way] = answer
		}
	}
	s.t.Fatalf("the spy has ended, after %v", said)
	return nil
}

// wantHeard asks the spy how many events have come to it in each way.
func (s *spy) wantHeard(family uint16, want int) {
	s.t.Helper()
	fmt.Fprintln(s.in, family)
	said := s.answers("got ")
	if len(said) != len(ways) {
		s.t.Fatalf("the spy says %v", said)
	}
	for way, got := range said {
		if got != fmt.Sprint(want) {
			s.t.Errorf("%s: %s events came, want %d", way, got, want)
		}
	}
}

// nobody is who has no rights, but for these.
func nobody(capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: capabilities}
}

// namespaced is nobody, who has made himself root in namespaces of his own.
func namespaced(flags uintptr) *syscall.SysProcAttr {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | flags, UidMappings: ids, GidMappings: ids,
		Credential: &syscall.Credential{NoSetGroups: true}}
}

// TestListen has users of all kinds try to hear of what is done to other people's processes.
func TestListen(t *testing.T) {
	_, family := dialFamily(t)
	group := ""
	for _, g := range family.Groups {
		group = fmt.Sprint(g.ID)
	}
	for name, c := range map[string]struct {
		as   *syscall.SysProcAttr
		join string // what the kernel answers
		hear bool
	}{
		"nobody":                    {as: nobody(), join: "operation not permitted"},
		"a network administrator":   {as: nobody(unix.CAP_NET_ADMIN, unix.CAP_NET_BROADCAST), join: "operation not permitted"},
		"a debugger":                {as: nobody(unix.CAP_SYS_PTRACE), join: "operation not permitted"},
		"an administrator":          {as: nobody(unix.CAP_SYS_ADMIN), join: "<nil>", hear: true},
		"the root of a container":   {as: namespaced(0), join: "operation not permitted"},
		"and its network namespace": {as: namespaced(syscall.CLONE_NEWNET), join: "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			s, said := startSpy(t, group, c.as)
			for way, answer := range said {
				if answer != c.join {
					t.Errorf("%s: %s, want %s", way, answer, c.join)
				}
			}
			s.wantHeard(family.ID, makeEvents(t, c.hear))
		})
	}
}

// TestListenBefore has nobody join all groups that there are, and those that there are not yet, before the module is loaded.
//
//machine:reloads
func TestListenBefore(t *testing.T) {
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	s, said := startSpy(t, "all", nobody())
	t.Logf("joined: %v", said)
	loadModule(t)
	_, family := dialFamily(t)
	makeEvents(t, false)
	s.wantHeard(family.ID, 0)
}

// makeEvents makes some, and returns how many are to be heard.
func makeEvents(t *testing.T, heard bool) int {
	t.Helper()
	v, c := startVictim(t, "victim"), dial(t)
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	do(t, c, lpnl.VerbApply, p, v.pid)
	do(t, c, lpnl.VerbRestore, p, v.pid)
	do(t, c, lpnl.VerbUnload, p, v.pid)
	if heard {
		return 3
	}
	return 0
}

// TestWatchAsNobody has somebody listen who must not.
func TestWatchAsNobody(t *testing.T) {
	for _, args := range [][]string{{"watch"}, {"watch", "--json"}} {
		cmd := exec.Command("lpctl", args...)
		cmd.SysProcAttr = nobody()
		status, stdout, stderr := run(t, cmd)
		want := "lpctl: listening to events needs CAP_SYS_ADMIN in the initial user namespace; run lpctl as root " +
			"(\"lpctl doctor\" says what is missing)\n"
		if status != 1 || stdout != "" || stderr != want {
			t.Errorf("lpctl %s: %d\n%s%swant %s", strings.Join(args, " "), status, stdout, stderr, want)
		}
	}
}
