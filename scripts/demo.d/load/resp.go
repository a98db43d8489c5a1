// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// replyTimeout is far longer than any answer takes: a server that needs it is a server that hangs.
const replyTimeout = 20 * time.Second

// conn is one connection to a Redis server.
type conn struct {
	net.Conn
	in *bufio.Reader
}

// errorReply is what the server answers to a request that it refuses. Other errors are those of the connection.
type errorReply string

func (e errorReply) Error() string { return string(e) }

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, replyTimeout)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// do sends one request and gives the answer: a string, an int64, nil, or a []any of these.
func (c *conn) do(args ...string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if err := c.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	return c.reply()
}

func (c *conn) reply() (any, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, fmt.Errorf("empty line from the server")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errorReply(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the server sent %q: %w", line, err)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil //nolint:nilnil // that is Redis' nil
	case kind == '$':
		data := make([]byte, n+2)
		_, err := io.ReadFull(c.in, data)
		return string(data[:n]), err
	case kind == '*':
		return c.array(n)
	default:
		return nil, fmt.Errorf("the server sent %q", line)
	}
}

func (c *conn) array(n int64) (any, error) {
	list := make([]any, n)
	for i := range list {
		var err error
		if list[i], err = c.reply(); err != nil {
			return nil, err
		}
	}
	return list, nil
}
