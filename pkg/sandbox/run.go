// SPDX-License-Identifier: GPL-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/command"
)

// User is the user as which a job runs.
type User int

// The users of a sandbox. None of them has privileges outside of it.
const (
	Builder   User = iota // no capabilities, and no way to gain any
	Installer             // capabilities for files that the installation of packages needs
	Mounter               // root, with permission to mount
)

// builder is the UID of the Builder inside of a sandbox.
const builder = 1000

// installs lists the capabilities of an Installer.
var installs = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
}

// Job is a command to run in a sandbox. All processes that it has started are killed when it ends.
type Job struct {
	Name string // name of its log
	Args []string
	Dir  string // "" for the root directory
	Env  []string
	As   User
	// Host makes the job run with the programs of this machine. It sees its world-readable files read-only, and the sandbox
	// at /mnt. Otherwise it sees only the sandbox.
	Host bool
	Net  bool      // network of this machine; must not be set for untrusted programs
	In   io.Reader // standard input; nil for none
	Out  io.Writer // standard output; nil for the log, which always gets standard error
}

// await waits in a new user namespace until its IDs have been mapped; until then the process is nobody. It then continues as
// root of the namespace by exec.
const await = `echo >&4 && read go <&5 && exec 4>&- 5<&- && exec "$@"`

// enter prevents all further processes from creating user namespaces, in which they would be root again, and mounts the
// sandbox at /mnt. The sandbox is located by the working directory, because its path may not be accessible to the users of
// the sandbox.
const enter = `echo 0 >/proc/sys/user/max_user_namespaces && mount --no-canonicalize --bind ` + fsName + ` /mnt && exec "$@"`

// errLimit is the cancellation cause if a job exceeds a limit.
type errLimit struct{ text string }

func (e *errLimit) Error() string { return e.text }

// Run runs a job. The error contains the part of its output around the failure.
func (s *Sandbox) Run(ctx context.Context, j Job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log, err := os.OpenFile(s.Log(j.Name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	stop := s.watch(cancel)
	defer stop()
	done := make(chan error, 1)
	go func() {
		// The job must not have access to the session keyring of this process. The thread with the new keyring must exit, but
		// not before the job: bubblewrap dies with the thread that has started it.
		runtime.LockOSThread()
		_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // a container without keyrings
			err = nil
		}
		if err == nil {
			err = s.run(ctx, j, &bounded{to: log, left: s.Limits.Output})
		}
		done <- err
	}()
	err = <-done
	var limit *errLimit
	switch {
	case errors.As(context.Cause(ctx), &limit):
		return fmt.Errorf("%s: %w; all of its output: %s", j.Args[0], limit, s.Log(j.Name))
	case err == nil || ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	}
	return fmt.Errorf("%s: %w%s\nall of its output: %s", strings.Join(j.Args, " "), err, command.Excerpt(s.Log(j.Name)), s.Log(j.Name))
}

// maxPrinted is the maximum number of bytes that Output returns.
const maxPrinted = 64 << 20

// Output runs a job and returns its standard output.
func (s *Sandbox) Output(ctx context.Context, j Job) (string, error) {
	var text strings.Builder
	out := &bounded{to: &text, left: maxPrinted}
	j.Out = out
	err := s.Run(ctx, j)
	if err == nil && out.left < 0 {
		err = fmt.Errorf("%s: it printed more than %d bytes", strings.Join(j.Args, " "), maxPrinted)
	}
	return text.String(), err
}

// watch cancels a job that takes too long or fills the disk. After stop returns, the sandbox is not accessed any more.
func (s *Sandbox) watch(cancel func(error)) (stop func()) {
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		late := time.After(s.Limits.Time)
		for {
			var st unix.Statfs_t
			if err := unix.Statfs(s.Dir, &st); err == nil && int64(st.Bavail)*st.Bsize < s.Limits.Free {
				cancel(&errLimit{fmt.Sprintf("less than %d MiB is free on the disk of %s, so it was ended; free some, or name a directory on another disk with --work", s.Limits.Free>>20, s.Dir)})
			}
			select {
			case <-ended:
				return
			case <-late:
				cancel(&errLimit{fmt.Sprintf("it was not done after %v, so it was ended", s.Limits.Time)})
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}

func (s *Sandbox) run(ctx context.Context, j Job, log io.Writer) error {
	// inherited descriptors must not be passed on: a directory would allow the job to escape
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	args := slices.Concat(s.limits(), s.namespace(), []string{"sh", "-c", enter, "sh"}, j.view(), j.command())
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = j.In, j.Out, log
	if j.Out == nil {
		cmd.Stdout = log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	info, toInfo, err := os.Pipe()
	if err != nil {
		return err
	}
	defer info.Close()
	cmd.ExtraFiles = []*os.File{toInfo}
	ended := make(chan func())
	go func() { ended <- whenEnded(info) }()
	if os.Geteuid() == 0 {
		err = s.runAsRoot(cmd)
	} else if err = cmd.Start(); err == nil {
		err = cmd.Wait()
	}
	toInfo.Close()
	(<-ended)()
	return err
}

// whenEnded reads bubblewrap's information about the PID of the first process inside. It returns a function that waits until
// this process has ended, which all others precede. Bubblewrap itself does not wait.
func whenEnded(info io.Reader) (wait func()) {
	var told struct {
		Pid int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&told); err != nil {
		return func() {} // no process was created
	}
	fd, err := unix.PidfdOpen(told.Pid, 0)
	if err != nil {
		return func() {} // the process has ended
	}
	return func() {
		defer unix.Close(fd)
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}
}

// limits returns a command that sets the resource limits of the command after it and its descendants.
func (s *Sandbox) limits() []string {
	l := s.Limits
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{
		// if memory is short, these processes are killed first
		"choom", "-n", "1000", "--", "prlimit", "--core=0", "--nproc=" + number(int64(l.Processes)), "--fsize=" + number(l.FileSize), "--data=" + number(l.Memory), "--",
	}
}

// namespace returns a command that creates a user namespace. If the caller is root, it first changes to another UID;
// otherwise the namespace would belong to root, and the limit of processes would not apply. It keeps the capability to create
// a namespace until then, in case this is restricted.
func (s *Sandbox) namespace() []string {
	own := []string{"unshare", "--user", "--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		return append(own, s.mapping("users", s.ids.uid, 0), s.mapping("groups", s.ids.gid, 0), "--setuid", "0", "--setgid", "0", "--")
	}
	leave := []string{
		"setpriv", fmt.Sprint("--reuid=", s.ids.uid), fmt.Sprint("--regid=", s.ids.gid), "--clear-groups", "--inh-caps=-all,+sys_admin",
		"--ambient-caps=-all,+sys_admin", "--bounding-set=-all,+sys_admin", "--",
	}
	return slices.Concat(leave, own, []string{"--", "sh", "-c", await, "sh"})
}

// runAsRoot maps the IDs once the namespace exists, which root may do without subordinate IDs.
func (s *Sandbox) runAsRoot(cmd *exec.Cmd) error {
	ready, toReady, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	fromGo, goOn, err := os.Pipe()
	if err != nil {
		toReady.Close()
		return err
	}
	defer goOn.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, toReady, fromGo)
	err = cmd.Start()
	toReady.Close()
	fromGo.Close()
	if err != nil {
		return err
	}
	var mapped error
	if n, _ := ready.Read(make([]byte, 1)); n == 1 { // otherwise it has failed and reports why
		mapped = errors.Join(
			os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", cmd.Process.Pid), fmt.Appendf(nil, "0 %d %d\n", s.ids.uid, idCount), 0),
			os.WriteFile(fmt.Sprintf("/proc/%d/gid_map", cmd.Process.Pid), fmt.Appendf(nil, "0 %d %d\n", s.ids.gid, idCount), 0))
		if mapped == nil {
			_, mapped = goOn.WriteString("go\n")
		}
	}
	goOn.Close()
	return errors.Join(mapped, cmd.Wait())
}

// view returns the bubblewrap command with everything that a job can access.
func (j *Job) view() []string {
	args := []string{
		"bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox",
		"--info-fd", "3",
	}
	if !j.Net {
		args = append(args, "--unshare-net")
	}
	if j.Host {
		args = append(args, "--ro-bind", "/", "/", "--bind", "/mnt", "/mnt", "--tmpfs", "/run") // no sockets of services
		if real, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && strings.HasPrefix(real, "/run/") {
			args = append(args, "--ro-bind", real, real)
		}
	} else {
		args = append(args, "--bind", "/mnt", "/")
	}
	args = append(args, "--dev", "/dev", "--proc", "/proc", "--perms", "1777", "--size", strconv.Itoa(1<<30), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
	if j.As != Mounter {
		args = append(args, "--cap-drop", "ALL")
		for _, c := range installs {
			args = append(args, "--cap-add", c)
		}
	}
	dir := j.Dir
	if dir == "" {
		dir = "/"
	}
	temporary := "TMPDIR=/tmp"
	if j.Host {
		temporary = "TMPDIR=/mnt/tmp"
	}
	args = append(args, "--chdir", dir, "--clearenv")
	name := "root"
	if j.As == Builder {
		name = "build"
	}
	for _, v := range append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=dumb", "USER=" + name, "LOGNAME=" + name, temporary}, j.Env...) {
		key, value, _ := strings.Cut(v, "=")
		args = append(args, "--setenv", key, value)
	}
	return append(args, "--")
}

// asBuilder drops all privileges of a command.
var asBuilder = []string{"setpriv", fmt.Sprint("--reuid=", builder), fmt.Sprint("--regid=", builder), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"}

// command returns the command that runs inside. The Builder's privileges are dropped by a program of the sandbox itself: only
// a user who has these privileges anyway could have modified it.
func (j *Job) command() []string {
	if j.As != Builder {
		return j.Args
	}
	return slices.Concat(asBuilder, j.Args)
}

// bounded is a writer that discards output beyond a maximum number of bytes and writes a note about it.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(data []byte) (int, error) {
	if b.left < 0 {
		return len(data), nil
	}
	if int64(len(data)) > b.left {
		_, err := fmt.Fprintf(b.to, "%s\nThe rest is left out.\n", data[:b.left])
		b.left = -1
		return len(data), err
	}
	b.left -= int64(len(data))
	return b.to.Write(data)
}
