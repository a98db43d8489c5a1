// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/protocol"
)

// Firmware has a machine begin as computers do: UEFI firmware with Secure Boot starts a boot loader from a disk, and that
// the kernel. Without it QEMU starts the kernel by itself.
type Firmware struct {
	Code, Vars string // OVMF's images; what the firmware is to remember it writes to Vars
	Disk       []File // what is on the disk that it boots from, Guest relative to the disk's top
	GrubConfig string // where GRUB looks for its configuration there
}

// args are QEMU's. Only code in system management mode may write to the flash memory: that is what makes it Secure Boot.
func (f *Firmware) args(disk string) []string {
	return []string{
		"-M", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + f.Code,
		"-drive", "if=pflash,unit=1,format=raw,file=" + f.Vars,
		"-drive", "if=virtio,format=raw,readonly=on,file=fat:" + disk,
	}
}

// firmwareDisk is the directory that the firmware sees as a disk.
func (m *machine) firmwareDisk() string { return filepath.Join(m.dir, "disk") }

// fillFirmwareDisk puts there what comes with the firmware, the kernel, and what tells GRUB to start it. The initramfs is
// written there in any case.
func (m *machine) fillFirmwareDisk() error {
	f := m.cfg.Firmware
	for _, file := range append([]File{{m.kernel.vmlinuz, "vmlinuz"}}, f.Disk...) {
		data, err := os.ReadFile(file.Host)
		if err == nil {
			err = m.writeFirmwareDisk(file.Guest, data)
		}
		if err != nil {
			return err
		}
	}
	return m.writeFirmwareDisk(f.GrubConfig, fmt.Appendf(nil, "linux /vmlinuz %s\ninitrd /initramfs\nboot\n", m.cmdline()))
}

func (m *machine) writeFirmwareDisk(path string, data []byte) error {
	path = filepath.Join(m.firmwareDisk(), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Answer is what to type when a machine's console has said something: first Prompt, then Keys.
type Answer struct{ Prompt, Keys string }

// Converse starts a machine's firmware for what comes before any kernel, types the answers on its console, one after the
// other, and waits for the machine to end itself. The error is a *Failure if it does so too early, or not at all.
func Converse(ctx context.Context, cfg Config, answers []Answer) (Result, error) {
	m, err := newMachine(ctx, cfg.withDefaults())
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(m.dir)
	m.answers = answers
	if err := m.fillFirmwareDisk(); err != nil {
		return Result{}, fmt.Errorf("files for the machine: %w", err)
	}
	return m.run(ctx)
}

// converse has the machine's console be two pipes, and types the answers there. A socket would not do: it takes some 280 writes
// of a byte each before its reader has to come, and firmware throws away what it cannot write at once. A pipe takes 65,536.
func (m *machine) converse(c *connections, path string) error {
	var files []*os.File
	for _, end := range []struct {
		name string
		mode int
	}{
		{".out", os.O_RDONLY | unix.O_NONBLOCK}, // does not wait for somebody to write
		{".out", os.O_WRONLY},                   // until this is closed, the reader is not at the end
		{".in", os.O_RDWR},                      // does not wait for QEMU to read
	} {
		if err := unix.Mkfifo(path+end.name, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		f, err := os.OpenFile(path+end.name, end.mode, 0)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	c.open = append(c.open, files[1])
	c.readers.Go(func() {
		defer files[0].Close()
		defer files[2].Close()
		_, _ = io.Copy(io.MultiWriter(&m.log, &typist{m: m, keys: files[2]}), files[0])
	})
	return nil
}

// typist reads a console and types the machine's answers.
type typist struct {
	m    *machine
	seen []byte // since the last answer
	keys io.Writer
}

// escape is a control sequence of a terminal.
var escape = regexp.MustCompile(`\x1b\[[0-9;=?]*[A-Za-z]`)

// Write takes what the console says.
func (t *typist) Write(p []byte) (int, error) {
	t.seen = append(t.seen, p...)
	m := t.m
	if len(m.answers) == 0 || !bytes.Contains(escape.ReplaceAll(t.seen, nil), []byte(m.answers[0].Prompt)) {
		return len(p), nil
	}
	if _, err := io.WriteString(t.keys, m.answers[0].Keys); err != nil {
		return 0, err
	}
	t.seen = nil
	m.answers = m.answers[1:]
	if len(m.answers) == 0 {
		m.readEvent(protocol.Event{Event: protocol.Done})
	}
	return len(p), nil
}
