// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bufio"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	for wire, want := range map[string]any{
		"+OK\r\n":           "OK",
		":-12\r\n":          int64(-12),
		"$5\r\na\r\nbc\r\n": "a\r\nbc",
		"$-1\r\n":           nil,
		"*-1\r\n":           nil,
		"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$0\r\n\r\n": []any{int64(1), []any{"x"}, ""},
	} {
		c := &conn{in: bufio.NewReader(strings.NewReader(wire))}
		if got, err := c.reply(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, %v; want %#v", wire, got, err, want)
		}
	}
}

func TestReplyRefused(t *testing.T) {
	c := &conn{in: bufio.NewReader(strings.NewReader("-ERR no\r\n"))}
	_, err := c.reply()
	var refusal errorReply
	if !errors.As(err, &refusal) || refusal != "ERR no" {
		t.Errorf("got %v, want an errorReply", err)
	}
}

// Whatever else arrives is trouble with the connection, not an answer of the server.
func TestReplyBroken(t *testing.T) {
	for _, wire := range []string{"", "+OK", "\r\n", ":x\r\n", "$5\r\nab", "*2\r\n:1\r\n", "?\r\n", "!1\r\n"} {
		c := &conn{in: bufio.NewReader(strings.NewReader(wire))}
		got, err := c.reply()
		var refusal errorReply
		if err == nil || errors.As(err, &refusal) {
			t.Errorf("%q: got %#v, %v; want an error", wire, got, err)
		}
	}
}

func TestExpectCounts(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		in := bufio.NewReader(there)
		for _, answer := range []string{"+OK\r\n", "+no\r\n", "-ERR\r\n"} {
			for range 3 { // *1, $4, PING
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
			there.Write([]byte(answer))
		}
	}()
	c := &client{counts: &counts{}, conn: &conn{here, bufio.NewReader(here)}}
	for range 3 {
		if err := c.expect("OK", []string{"PING"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.expect("OK", []string{"PING"}); err == nil {
		t.Error("no error although the connection is closed")
	}
	if n, bad := c.requests.Load(), c.errors.Load(); n != 3 || bad != 2 {
		t.Errorf("%d requests, %d errors; want 3 and 2", n, bad)
	}
}

func TestFindPayload(t *testing.T) {
	patch := "@@\n-  r restore key 0 \"\\x15\"\n+  catch {r RESTORE mystream 0 \"\\x0f\\x01\\xb4\"} err\n"
	got, err := findPayload(patch)
	if err != nil || got != "\x0f\x01\xb4" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := findPayload("+ nothing\n"); err == nil {
		t.Errorf("got %q where there is none", got)
	}
}
