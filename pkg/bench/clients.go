// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	// memcachedClients is the number of connections, each with at most one pending request.
	memcachedClients = 8
	// clientRest is the pause of a client between two requests. The load is below saturation, so that latency and not
	// throughput is measured.
	clientRest = 2 * time.Millisecond
	// serverTime is the timeout for the start and for each reply of memcached.
	serverTime = 30 * time.Second
)

// clients are connections to memcached.
type clients struct{ list []*connection }

// connection uses keys of its own, so that it can verify each reply.
type connection struct {
	net.Conn
	in   *bufio.Reader
	name string
	n    int
	took []int64
}

// dialClients waits until the server accepts connections.
func dialClients(socket string) (*clients, error) {
	c := &clients{}
	for i := range memcachedClients {
		conn, err := net.Dial("unix", socket)
		for end := time.Now().Add(serverTime); err != nil && time.Now().Before(end); conn, err = net.Dial("unix", socket) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			c.close()
			return nil, err
		}
		c.list = append(c.list, &connection{Conn: conn, in: bufio.NewReader(conn), name: fmt.Sprint("client-", i)})
	}
	return c, nil
}

func (c *clients) close() {
	for _, one := range c.list {
		one.Close()
	}
}

// load sends requests to the server for duration d, while besides runs, and returns the latency of each request in ns. A
// wrong reply is an error.
func (c *clients) load(d time.Duration, besides func(stop <-chan bool) error) ([]int64, error) {
	stop := make(chan bool)
	errs := make(chan error, len(c.list)+1)
	var all sync.WaitGroup
	for _, one := range c.list {
		all.Go(func() { errs <- one.work(stop) })
	}
	if besides != nil {
		all.Go(func() { errs <- besides(stop) })
	}
	time.Sleep(d)
	close(stop)
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return nil, err
		}
	}
	var took []int64
	for _, one := range c.list {
		took = append(took, one.took...)
		one.took = nil
	}
	return took, nil
}

// work alternately sets and gets a value until it is told to stop.
func (c *connection) work(stop <-chan bool) error {
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(clientRest):
		}
		c.n++
		value := fmt.Sprint("value-", c.n/2)
		request, want := fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", c.name, len(value), value), "STORED\r\n"
		if c.n%2 == 1 {
			value = fmt.Sprint("value-", (c.n-1)/2)
			request, want = fmt.Sprintf("get %s\r\n", c.name), fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", c.name, len(value), value)
		}
		if c.n == 1 {
			want = "END\r\n" // the key does not exist yet
		}
		if err := c.exchange(request, want); err != nil {
			return err
		}
	}
}

func (c *connection) exchange(request, want string) error {
	began := time.Now()
	if err := c.SetDeadline(began.Add(serverTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	var got strings.Builder
	for got.Len() < len(want) {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return err
		}
		got.WriteString(line)
	}
	c.took = append(c.took, int64(time.Since(began)))
	if got.String() != want {
		return fmt.Errorf("memcached answers %q to %q, should be %q", got.String(), request, want)
	}
	return nil
}
