// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lpatch/test/vm/protocol"
)

// Each serial port of the guest is a socket in the machine's directory. None shares an interrupt with another, as the
// legacy lines would have it: QEMU's ISA bus does not emulate that. What carries much has 10 and 11, which are
// level-triggered: on the edge-triggered 3 and 4 a PREEMPT_RT kernel takes one interrupt per byte, 20 times slower.
var ports = []struct {
	name string
	irq  int
}{{"log", 4}, {"stdout", 10}, {"stderr", 11}, {"control", 3}}

// machine is one run of QEMU.
type machine struct {
	cfg    Config
	kernel kernelFiles
	system *System
	dir    string // for the sockets; has the initramfs
	accel  string
	see    func(protocol.Event)
	// What to type before there is a kernel, in place of booting one.
	answers []Answer

	log     kernelLog
	console tail // last of what the script printed, for the report of a lost machine
	started time.Time
	result  Result
	booted  bool
	done    bool
	trouble string // what the guest's init complained of
	garbled string // a control line that is no event
}

// boot boots the machine to do a job and waits for its end.
func (m *machine) boot(ctx context.Context, job protocol.Job) (Result, error) {
	root, err := buildRoot(m.cfg, m.kernel, job)
	if err == nil && m.cfg.Firmware != nil {
		err = m.fillFirmwareDisk()
	}
	if err == nil {
		err = writeInitramfs(m.initramfs(), root)
	}
	if err != nil {
		return Result{}, fmt.Errorf("files for the guest: %w", err)
	}
	return m.run(ctx)
}

func (m *machine) run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	m.log.out = m.cfg.KernelLog
	m.result.Release = m.kernel.release
	m.started = time.Now()

	readers, err := m.listen()
	if err != nil {
		return m.result, err
	}
	var complaint bytes.Buffer
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	qemu.Stdout, qemu.Stderr = &complaint, &complaint
	// Should this process be killed, QEMU must not outlive it; and a Ctrl-C is for us to handle, not for QEMU.
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err = runOnOneThread(qemu, m.cfg.Start)
	readers.close()
	m.result.Total = time.Since(m.started)
	return m.result, m.verdict(ctx, err, complaint.String())
}

// runOnOneThread keeps the thread that started the command until it ends: Pdeathsig is about that thread's death, not
// the process's.
func runOnOneThread(cmd *exec.Cmd, started func(*os.Process)) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	if started != nil {
		started(cmd.Process)
	}
	return cmd.Wait()
}

func (m *machine) args() []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-smp", strconv.Itoa(m.cfg.CPUs), "-m", strconv.Itoa(m.cfg.MemMiB),
	}
	switch s := m.system; {
	case m.cfg.Firmware != nil:
		args = append(args, m.cfg.Firmware.args(m.firmwareDisk())...)
	case s != nil:
		args = append(args, m.direct(s.Vmlinuz, s.Initrd)...)
		args = append(args, "-drive", "format=raw,if=virtio,file="+s.Disk)
	default:
		args = append(args, m.direct(m.kernel.vmlinuz, m.initramfs())...)
	}
	args = append(args, accelArgs(m.accel)...)
	for i, path := range m.cfg.Disks {
		args = append(args,
			"-drive", fmt.Sprintf("file=%s,format=raw,if=none,id=disk%d", strings.ReplaceAll(path, ",", ",,"), i),
			"-device", fmt.Sprintf("nvme,drive=disk%d,serial=disk%d", i, i))
	}
	if len(m.cfg.Ports) > 0 {
		args = append(args, "-netdev", netdev(m.cfg.Ports), "-device", "virtio-net-pci,netdev=net,romfile=")
	}
	for i, p := range ports {
		kind := "socket"
		if i == 0 && len(m.answers) > 0 {
			kind = "pipe"
		}
		args = append(args,
			"-chardev", fmt.Sprintf("%s,id=%s,path=%s", kind, p.name, filepath.Join(m.dir, p.name)),
			"-device", fmt.Sprintf("isa-serial,chardev=%s,index=%d,irq=%d", p.name, i, p.irq))
	}
	return args
}

// FreePorts returns TCP ports of 127.0.0.1 that nobody has, for Config.Ports.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only when there are all, lest one come twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// netdev is a network that only we can reach the machine by, at the address that it gives itself.
func netdev(ports map[int]int) string {
	option := "user,id=net,restrict=on"
	for host, guest := range ports {
		option += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-%s:%d", host, protocol.Address, guest)
	}
	return option
}

// direct are the arguments to start a kernel without firmware of any interest.
func (m *machine) direct(vmlinuz, initrd string) []string {
	return []string{"-M", "pc", "-append", m.cmdline(), "-kernel", vmlinuz, "-initrd", initrd}
}

func (m *machine) initramfs() string {
	if m.cfg.Firmware != nil {
		return filepath.Join(m.firmwareDisk(), "initramfs")
	}
	return filepath.Join(m.dir, "initramfs")
}

func (m *machine) cmdline() string {
	// Only warnings until init runs (it turns the rest on): a serial console is slow, and so would be the boot.
	level := 5
	if m.cfg.Verbose {
		level = 8
	}
	words := []string{
		"console=ttyS0,115200", "8250.nr_uarts=4", fmt.Sprintf("loglevel=%d", level),
		// Whatever goes wrong in the kernel ends the machine, and the end of the machine is seen at once.
		"panic=-1", "oops=panic", "softlockup_panic=1",
		// There is no hardware to wait for or to distrust.
		"random.trust_cpu=on", "tsc=reliable", "no_timer_check", "i8042.noaux", "i8042.nokbd",
		// Cases change read-only memory of a program by /proc/PID/mem: on Debian 13's later kernels only its debugger may.
		"proc_mem.force_override=always",
	}
	switch m.accel {
	case "tcg":
		words = append(words, fmt.Sprintf("tsc_early_khz=%d", tscKHz()))
	case "icount":
		words = append(words, fmt.Sprintf("tsc_early_khz=%d", countKHz), "nokaslr", "norandmaps")
	}
	// One that looks for errors goes on to the next case: the guest's init reads its log after each.
	if !LooksForErrors(m.cfg.Kernel) {
		words = append(words, "panic_on_warn=1")
	}
	return strings.Join(append(words, m.cfg.Cmdline), " ")
}

// connections are the sockets that QEMU connects to, one for each port, each with its reader.
type connections struct {
	open    []io.Closer
	readers sync.WaitGroup
}

// close ends the readers: QEMU has gone, so they have all there is or are still waiting for a first connection.
func (c *connections) close() {
	for _, o := range c.open {
		o.Close()
	}
	c.readers.Wait()
}

func (m *machine) listen() (*connections, error) {
	to := func(w ...io.Writer) func(io.Reader) {
		// A reader that fails has lost its writer, our own output, or QEMU: there is nothing left to do for it.
		return func(r io.Reader) { _, _ = io.Copy(io.MultiWriter(w...), r) }
	}
	sinks := []func(io.Reader){to(&m.log), to(m.cfg.Stdout, &m.console), to(m.cfg.Stderr, &m.console), m.readEvents}
	c := &connections{}
	for i, p := range ports {
		if i == 0 && len(m.answers) > 0 {
			if err := m.converse(c, filepath.Join(m.dir, p.name)); err != nil {
				c.close()
				return nil, err
			}
			continue
		}
		l, err := net.Listen("unix", filepath.Join(m.dir, p.name))
		if err != nil {
			c.close()
			return nil, err
		}
		c.open = append(c.open, l)
		c.readers.Go(func() {
			conn, err := l.Accept()
			if err != nil {
				return // QEMU never connected; that it failed is seen elsewhere
			}
			defer conn.Close()
			sinks[i](conn)
		})
	}
	return c, nil
}

// readEvents reads the control port. With no kernel there is nobody on it; otherwise it alone writes the fields that the
// verdict is made of.
func (m *machine) readEvents(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e protocol.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			m.garbled = lines.Text()
			continue
		}
		m.readEvent(e)
	}
}

func (m *machine) readEvent(e protocol.Event) {
	switch e.Event {
	case protocol.Boot:
		m.booted = true
		m.result.Boot = time.Since(m.started)
		os.Remove(m.initramfs()) // it may be large, and should we be killed nobody would remove it
	case protocol.Error:
		m.trouble = e.Log
	case protocol.Done:
		m.done = true
		m.result.Status = e.Status
	}
	if m.see != nil {
		m.see(e)
	}
}
