// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is for what an emulated machine on a shared host does.
const patience = 3 * time.Minute

// sh runs a command of the system's shell, which must succeed, and returns what it prints.
func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// question is something that a client can ask a server, and the answers.
type question struct {
	address string // of the server
	send    string
	find    string // what the line of interest begins with
	stock   string // what follows
	patched string
}

var questions = map[string]question{
	"redis-server": {"127.0.0.1:6379", "INFO server\r\n", "redis_git_sha1:", "00000000", "patched"},
	"memcached":    {"127.0.0.1:11211", "stats\r\n", "STAT libevent ", "2.1.12-stable", "patched"},
	"haproxy":      {"127.0.0.1:8080", "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ", "OK", "patched"},
}

// ask returns the answer.
func (q question) ask() (string, error) {
	c, err := net.DialTimeout("tcp", q.address, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(c, q.send); err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if answer, ok := strings.CutPrefix(lines.Text(), q.find); ok {
			return answer, nil
		}
	}
	return "", fmt.Errorf("%s does not answer %q with %q", q.address, q.send, q.find)
}

// want asks until the server answers: at once with this.
func (q question) want(t *testing.T, want string) {
	t.Helper()
	var answer string
	wait(t, "an answer of "+q.address, func() (err error) {
		answer, err = q.ask()
		return err
	})
	if answer != want {
		t.Fatalf("%s answers %q with %q, want %q", q.address, q.send, answer, want)
	}
}

// wait does something until it works.
func wait(t *testing.T, what string, do func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
