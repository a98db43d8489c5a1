// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lpatch/pkg/lpnl"
)

// Kernel is the interface to the module that is measured; *lpnl.Client implements it.
type Kernel interface {
	Transfer(p *lpnl.Patch) error
	Op(verb lpnl.Verb, hash lpnl.Hash, t lpnl.Target, o lpnl.Options) (lpnl.Report, error)
}

// system is a method to replace functions of a running program.
type system interface {
	// replace replaces the first functions of the program, or restores them, and returns the stop time in ns.
	replace(on bool) (int64, error)
}

// driven is a method implemented by driver.c.
type driven struct {
	t         *target
	way       string
	functions int
}

func (d driven) replace(on bool) (int64, error) {
	what := "restore"
	if on {
		what = "apply"
	}
	n, err := d.t.numbers("stop %s %s %d", d.way, what, d.functions)
	if err != nil {
		return 0, err
	}
	if len(n) != 1 {
		return 0, fmt.Errorf("%s: the driver gives %d figures", d.way, len(n))
	}
	return n[0], nil
}

// options have generous limits for emulated or shared processors: durations are measured, not limited.
var options = lpnl.Options{MaxStop: 2 * time.Second, Timeout: 20 * time.Second}

// lpatch replaces functions with the kernel module.
type lpatch struct {
	k     Kernel
	pid   int
	patch *lpnl.Patch
	ops   []op
}

// op is one operation.
type op struct {
	report lpnl.Report
	took   time.Duration // from the request to the reply
}

// newLpatch transfers a patch of the program to the kernel and loads it, which does not stop any thread.
func newLpatch(k Kernel, t *target, functions int) (*lpatch, error) {
	p, err := newPatch(t.path, functions)
	if err != nil {
		return nil, err
	}
	l := &lpatch{k: k, pid: t.pid, patch: p}
	if err := k.Transfer(p); err != nil {
		l.close()
		return nil, err
	}
	if _, err := k.Op(lpnl.VerbLoad, p.Hash, lpnl.Target{PID: t.pid}, options); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lpatch) replace(on bool) (int64, error) {
	verb := lpnl.VerbRestore
	if on {
		verb = lpnl.VerbApply
	}
	began := time.Now()
	r, err := l.k.Op(verb, l.patch.Hash, lpnl.Target{PID: l.pid}, options)
	l.ops = append(l.ops, op{r, time.Since(began)})
	return int64(r.Stop), err
}

// close closes the files of the patch. The state in the target ends with the target.
func (l *lpatch) close() {
	l.patch.File.Close()
	for _, i := range l.patch.Images {
		i.File.Close()
	}
}

// gdb starts a debugger for each window. gdb does not report how long the program was stopped, so the longest gap that the
// program itself observed is used.
type gdb struct {
	t         *target
	functions int
	old       []byte // original bytes of a function
}

func newGDB(t *target, functions int) (*gdb, error) {
	if _, err := exec.LookPath("gdb"); err != nil {
		return nil, err
	}
	p, err := newPatch(t.path, 1)
	if err != nil {
		return nil, err
	}
	defer (&lpatch{patch: p}).close()
	return &gdb{t, functions, p.Sites[0].Old}, nil
}

func (g *gdb) replace(on bool) (int64, error) {
	dir, err := os.MkdirTemp("", "lpctl-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "commands")
	if err := os.WriteFile(script, []byte(g.commands(on)), 0o600); err != nil {
		return 0, err
	}
	if _, err := g.t.ask("reset"); err != nil {
		return 0, err
	}
	// symbols of libraries would only slow it down
	cmd := exec.Command("gdb", "-nx", "-batch", "-iex", "set auto-solib-add off", "-p", fmt.Sprint(g.t.pid), "-x", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("gdb: %w\n%s", err, out)
	}
	s, err := g.t.stats()
	return s.gap, err
}

func (g *gdb) commands(on bool) string {
	var b strings.Builder
	for i := range uint64(g.functions) {
		at := g.t.functions + i*functionStride
		code := g.old
		if on {
			code = jump(at, g.t.replacements+i*replacementStride)
		}
		fmt.Fprintf(&b, "set {unsigned char[%d]} %#x = {", len(code), at)
		for j, c := range code {
			fmt.Fprintf(&b, "%s%d", strings.Repeat(",", min(j, 1)), c)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
