// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"io"
	"os"
	"sync"
	"testing"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// cutSocket is a netlink socket that is closed instead of sending one more message than it may.
type cutSocket struct {
	*netlink.Conn
	left int
}

// Send implements netlink.Socket.
func (s *cutSocket) Send(m netlink.Message) error {
	if s.left == 0 {
		s.Conn.Close()
		return io.EOF
	}
	s.left--
	_, err := s.Conn.Send(m)
	return err
}

// SendMessages implements netlink.Socket.
func (s *cutSocket) SendMessages(list []netlink.Message) error {
	for _, m := range list {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// dialCut connects to the module for so many messages.
func dialCut(messages int) (*lpnl.Client, *cutSocket, error) {
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{Strict: true})
	if err != nil {
		return nil, nil, err
	}
	s := &cutSocket{conn, messages + 1} // the first one asks for the family
	c, err := lpnl.New(genetlink.NewConn(netlink.NewConn(s, 0)))
	return c, s, err
}

// isFree tells whether nobody denies writing to a file.
func isFree(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err == nil
}

// TestCutTransfer has several clients transfer one patch at once, all of which go away after so many messages: after each
// number that there is. Nothing of the objects is left, sealed or not, and the file can be written to again.
func TestCutTransfer(t *testing.T) {
	watcher := dial(t)
	p := rawPatch(t, fixtures+"victim", "value")
	manyFixups(p)
	for n := 0; ; n++ {
		var clients sync.WaitGroup
		whole := 0
		var mu sync.Mutex
		for range 4 {
			clients.Go(func() {
				c, s, err := dialCut(n)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Conn.Close()
				if c.Transfer(p) == nil {
					mu.Lock()
					whole++
					mu.Unlock()
				}
			})
		}
		clients.Wait()
		waitFor(t, "the objects to go", func() bool {
			info, err := watcher.Info()
			if err != nil {
				t.Fatal(err)
			}
			return info.Patches == 0 && isFree(p.File.Name())
		})
		if whole == 4 {
			if n < 10 {
				t.Fatalf("a transfer takes %d messages only", n)
			}
			t.Logf("a transfer takes %d messages", n)
			break
		}
	}
	watcher.Close()
	removeModule(t)
}

// TestSameTransfer has clients transfer the same patch at the same time: each can use it, whichever came first, and as
// long as one of them is there.
func TestSameTransfer(t *testing.T) {
	v := startVictim(t, "victim", "-t", "2", "-m", "sleep")
	p := rawPatch(t, v.path, "value")
	manyFixups(p)
	var clients []*lpnl.Client
	for range 6 {
		clients = append(clients, dial(t))
	}
	for range 5 {
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				if err := c.Transfer(p); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	verbs := []lpnl.Verb{lpnl.VerbLoad, lpnl.VerbApply, lpnl.VerbRestore, lpnl.VerbApply, lpnl.VerbRestore, lpnl.VerbUnload}
	for i, c := range clients {
		do(t, c, verbs[i], p, v.pid)
		if i < len(clients)-1 {
			c.Close()
		}
	}
	last := clients[len(clients)-1]
	if info, err := last.Info(); err != nil || info.Patches == 0 || isFree(p.File.Name()) {
		t.Fatalf("one client is left, and there is %+v, %v", info, err)
	}
	do(t, last, lpnl.VerbLoad, p, v.pid)
	do(t, last, lpnl.VerbUnload, p, v.pid)
	last.Close()
	c := dial(t)
	waitFor(t, "the objects to go", func() bool {
		info, err := c.Info()
		return err == nil && info.Patches == 0 && info.Targets == 0 && isFree(p.File.Name())
	})
	v.wantNoWrong()
}
