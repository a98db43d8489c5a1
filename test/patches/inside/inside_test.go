// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

const directory = "/patches/"

// options allow for a slow machine; the cases are not about limits.
var options = lpnl.Options{MaxStop: 5 * time.Second, Timeout: 2 * time.Minute}

// atOnce is how many programs run at the same time.
const atOnce = 3

type entry struct {
	Name   string
	Values []int64
}

// TestPatches starts each program, applies its patch, reverts it, and has the program's threads look each time.
// It says in one line what went wrong with each, and how long all took.
func TestPatches(t *testing.T) {
	data, err := os.ReadFile(directory + "list.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []entry
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("there are no patches")
	}
	work, wrong := make(chan entry), make(chan error)
	for range atOnce {
		go func() {
			for e := range work {
				err := try(e)
				if err != nil {
					err = fmt.Errorf("%s: %w", e.Name, err)
				}
				wrong <- err
			}
		}()
	}
	began := time.Now()
	go func() {
		for _, e := range list {
			work <- e
		}
		close(work)
	}()
	for range list {
		if err := <-wrong; err != nil {
			t.Error(err)
		}
	}
	took := time.Since(began)
	t.Logf("%d patches in %v, %v each", len(list), took.Round(time.Millisecond), (took / time.Duration(len(list))).Round(time.Millisecond))
}

// program is a case that runs.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(e entry) (*program, error) {
	p := &program{cmd: exec.Command(directory + e.Name)}
	for _, v := range e.Values {
		p.cmd.Args = append(p.cmd.Args, fmt.Sprint(v))
	}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	if err == nil && line != fmt.Sprintf("ready %d\n", p.cmd.Process.Pid) {
		err = fmt.Errorf("says %q instead of ready", line)
	}
	if err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *program) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// look expects all threads to get this value.
func (p *program) look(want int64) error {
	if _, err := io.WriteString(p.in, "look\n"); err != nil {
		return err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("ended: %w", errors.Join(err, p.cmd.Wait()))
	}
	if line != fmt.Sprintf("look %d wrong 0\n", want) {
		return fmt.Errorf("says %q, want look %d wrong 0", strings.TrimSpace(line), want)
	}
	return nil
}

// try does all that is done with one patch.
func try(e entry) error {
	p, err := start(e)
	if err != nil {
		return err
	}
	defer p.end()
	client, err := lpnl.Dial()
	if err != nil {
		return err
	}
	defer client.Close()
	file, err := apply.Open(directory + e.Name + ".lp")
	if err != nil {
		return err
	}
	defer file.Close()
	fs := proc.New("/proc")
	target, err := fs.Process(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	session := apply.New(client, fs)
	do := func(verb apply.Verb, want int64) error {
		if verb != "" {
			out := session.Run(verb, apply.PatchRef{File: file, Name: e.Name}, []proc.Process{target}, options)
			if out[0].Err != nil {
				return fmt.Errorf("%s: %w", verb, out[0].Err)
			}
		}
		if err := p.look(want); err != nil {
			return fmt.Errorf("after %s: %w", cmp.Or(string(verb), "start"), err)
		}
		return nil
	}
	before, after := e.Values[0], e.Values[1]
	for _, step := range []struct {
		verb apply.Verb
		want int64
	}{{"", before}, {lpnl.VerbApply, after}, {apply.Revert, before}} {
		if err := do(step.verb, step.want); err != nil {
			return err
		}
	}
	return nil
}
