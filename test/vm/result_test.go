// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"errors"
	"io"
	"strings"
	"testing"

	"lpatch/test/vm/protocol"
)

// TestKernelLog has the lines of the log come in pieces, with the line ends of a serial console. Which of them are bad is
// tested in klog.
func TestKernelLog(t *testing.T) {
	for line, isBad := range map[string]bool{
		"[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000": true,
		"[    1.0] lpatch: loading out-of-tree module taints kernel.":               false,
	} {
		l := kernelLog{out: io.Discard}
		for _, part := range []string{"first line\r\n", line[:len(line)/2], line[len(line)/2:], "\r\nlast\r\n"} {
			if _, err := io.WriteString(&l, part); err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if isBad {
			want = line
		}
		if l.bad != want {
			t.Errorf("%q: taken for bad: %q", line, l.bad)
		}
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 10 {
		io.WriteString(&l, strings.Repeat("x", 5000))
	}
	io.WriteString(&l, "end")
	if got := l.String(); len(got) != tailSize || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-5:])
	}
}

func TestCollector(t *testing.T) {
	c, err := newCollector([]Case{{Name: "a"}, {Name: "b"}, {Name: "c"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []protocol.Event{
		{Event: protocol.Boot}, {Event: protocol.Start, Case: "a"}, {Event: protocol.Pass, Case: "a"},
		{Event: protocol.Start, Case: "b"}, {Event: protocol.Pass, Case: "stranger"},
	} {
		c.see(e)
	}
	results := c.finish(errors.New("the machine burnt down"))
	want := []CaseResult{
		{Name: "a", Outcome: Passed},
		{Name: "b", Outcome: Lost, Log: "the machine burnt down\n"},
		{Name: "c", Outcome: Lost, Log: "not run: the machine was lost before\n"},
	}
	for i, r := range results {
		if r != want[i] {
			t.Errorf("got %+v, want %+v", r, want[i])
		}
	}
	if _, err := newCollector([]Case{{Name: "a"}, {Name: "a"}}, nil); err == nil {
		t.Error("two cases of one name are accepted")
	}
}
