// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// beginning is a program immediately after execve: its stack contains arguments, environment and auxiliary vector.
type beginning struct {
	pid   int
	mem   *os.File
	regs  unix.PtraceRegs
	exe   string // path of the file according to the kernel
	path  string // path as called
	argc  int
	args0 string
	env   []uint64 // addresses
}

const (
	atExecFn = 31
	codeOf64 = 0x33 // code segment selector of 64-bit programs
)

// readBeginning reads the state of a process after execve.
func readBeginning(pid int) (*beginning, error) {
	im := &beginning{pid: pid}
	var err error
	if im.exe, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
		return nil, err
	}
	if err := unix.PtraceGetRegs(pid, &im.regs); err != nil {
		return nil, fmt.Errorf("registers of %s: %w", im.exe, err)
	}
	if im.regs.Cs != codeOf64 { // the stack layout differs for 32-bit programs; they are classified by their file
		im.path, im.args0 = im.exe, im.exe
		return im, nil
	}
	if im.mem, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	defer func() { _ = im.mem.Close() }()
	at, buf := im.regs.Rsp, stackReader{mem: im.mem}
	next := func() uint64 {
		word, readErr := buf.word(at)
		if readErr != nil {
			err = readErr
		}
		at += 8
		return word
	}
	im.argc = int(next())
	text := func() string {
		s, textErr := im.text(next())
		err = errors.Join(err, textErr)
		return s
	}
	if im.argc > 0 {
		im.args0 = text()
	}
	at = im.regs.Rsp + 8*uint64(im.argc+2)
	for p := next(); p != 0 && err == nil; p = next() {
		im.env = append(im.env, p)
	}
	for kind := next(); kind != 0 && err == nil; kind = next() {
		if kind == atExecFn {
			im.path = text()
		} else {
			next()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stack of %s: %w", im.exe, err)
	}
	if strings.HasPrefix(im.path, "/dev/fd/") || im.path == "" { // execveat
		im.path = im.exe
	}
	return im, nil
}

// stackReader reads consecutive words page by page, because a build executes thousands of programs.
type stackReader struct {
	mem  *os.File
	base uint64
	page []byte
}

func (r *stackReader) word(at uint64) (uint64, error) {
	if at < r.base || at+8 > r.base+uint64(len(r.page)) {
		page := make([]byte, os.Getpagesize())
		n, err := r.mem.ReadAt(page, int64(at))
		if n < 8 {
			return 0, err
		}
		r.base, r.page = at, page[:n]
	}
	return binary.LittleEndian.Uint64(r.page[at-r.base:]), nil
}

// text reads a string.
func (im *beginning) text(at uint64) (string, error) {
	var out []byte
	buf := make([]byte, 256)
	for {
		n, err := im.mem.ReadAt(buf, int64(at))
		if i := bytes.IndexByte(buf[:n], 0); i >= 0 {
			return string(append(out, buf[:i]...)), nil
		}
		if err != nil {
			return "", err
		}
		out = append(out, buf[:n]...)
		at += uint64(n)
	}
}

// envHas reports whether a variable is set in the environment.
func (im *beginning) envHas(variable string) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", im.pid))
	return bytes.Contains(append([]byte{0}, data...), []byte("\x00"+variable+"\x00"))
}

// isFile reports whether the program is the file that was executed, and not its interpreter.
func (im *beginning) isFile() bool {
	dir := fmt.Sprintf("/proc/%d/root", im.pid)
	if !filepath.IsAbs(im.path) {
		dir = fmt.Sprintf("/proc/%d/cwd/", im.pid)
	}
	called, err := os.Stat(dir + im.path)
	exe, exeErr := os.Stat(fmt.Sprintf("/proc/%d/exe", im.pid))
	return err == nil && exeErr == nil && os.SameFile(called, exe)
}

// replace makes the process call execve for another program as its first instruction, with additional arguments before its
// own and additional variables. No other instruction of the process has run, and its memory is not shared.
func (im *beginning) replace(path string, front, env []string) error {
	if im.regs.Cs != codeOf64 {
		return errors.New("it is a program of 32 bits")
	}
	// with a stack limit of 8 MB there are 128 KB below; the argument strings are not moved
	const room = 16 << 10
	var text []byte
	base := (im.regs.Rsp - room - 8*uint64(len(im.env))) &^ 15
	put := func(s string) uint64 {
		at := base + uint64(len(text))
		text = append(append(text, s...), 0)
		return at
	}
	regs := im.regs
	regs.Rdi = put(path)
	// argc and the words below it are overwritten by the new pointers
	regs.Rsi = im.regs.Rsp + 8 - 8*uint64(len(front))
	regs.Rdx = im.regs.Rsp + 8*uint64(im.argc+2)
	var first, variables []byte
	for _, s := range front {
		first = binary.LittleEndian.AppendUint64(first, put(s))
	}
	if len(env) > 0 {
		for _, s := range env {
			variables = binary.LittleEndian.AppendUint64(variables, put(s))
		}
		for _, p := range append(im.env, 0) {
			variables = binary.LittleEndian.AppendUint64(variables, p)
		}
	}
	for len(text)%8 != 0 {
		text = append(text, 0)
	}
	if len(env) > 0 {
		regs.Rdx = base + uint64(len(text))
		text = append(text, variables...)
	}
	if len(text)+len(first) > room+8*len(im.env) {
		return fmt.Errorf("its arguments are too long")
	}
	// mov $execve, %eax; syscall; mov $127, %edi; mov $exit_group, %eax; syscall. The kernel sets rax when execve returns.
	code := []byte{0xb8, unix.SYS_EXECVE, 0, 0, 0, 0x0f, 0x05, 0xbf, 127, 0, 0, 0, 0xb8, unix.SYS_EXIT_GROUP, 0, 0, 0, 0x0f, 0x05}
	for _, w := range []struct {
		at   uint64
		data []byte
	}{{base, text}, {regs.Rsi, first}, {regs.Rip, code}} {
		if _, err := unix.PtracePokeData(im.pid, uintptr(w.at), w.data); err != nil {
			return err
		}
	}
	return unix.PtraceSetRegs(im.pid, &regs)
}

// toolKind tells how a program is handled.
type toolKind int

const (
	noTool toolKind = iota
	driver
	assembler
	linker
	rewriter // objcopy, strip
	rustCompiler
	cache     // compiler wrapper, which may return cached or remotely made objects
	manyTools // multi-call binary, classified by its arguments
)

// program describes an executable file, independent of its name.
type program struct {
	dev, ino uint64
	size     int64
	mtime    int64
	called   string
}

// kindOf classifies a program by its names and, for ELF files, by content: a copy of gcc may have any name.
func (t *tracer) kindOf(im *beginning) (toolKind, error) {
	file := fmt.Sprintf("/proc/%d/exe", im.pid)
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return noTool, fmt.Errorf("%s: %w", im.exe, err)
	}
	key := program{st.Dev, st.Ino, st.Size, st.Mtim.Nano(), filepath.Base(im.path) + "\n" + filepath.Base(im.args0)}
	if k, ok := t.programs[key]; ok {
		return k, nil
	}
	k := kindByName(filepath.Base(im.exe))
	if k == noTool && im.isFile() {
		k = kindByName(filepath.Base(im.path))
	}
	read, err := readTool(file)
	if err != nil {
		return noTool, fmt.Errorf("%s: %w", im.exe, err)
	}
	switch {
	case read.lpctl: // lpctl calls the compiler, and would be replaced again and again
		k = noTool
	case read.many:
		k = kindOfMany(im.args0)
	case k == noTool:
		k = read.kind
	}
	if notToTake().MatchString(filepath.Base(im.path)) || notToTake().MatchString(filepath.Base(im.args0)) {
		k = noTool
	}
	t.programs[key] = k
	return k, nil
}
