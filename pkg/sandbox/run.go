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

// User is who a job runs as.
type User int

// The users of a sandbox. None has rights outside of it.
const (
	Builder   User = iota // has no rights at all, and gets none
	Installer             // may do to files what installing packages needs
	Mounter               // root, who may mount
)

// builder is the number of the Builder, inside.
const builder = 1000

// installs are the capabilities of an Installer.
var installs = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
}

// Job is a command in a sandbox. All that it has started ends with it.
type Job struct {
	Name string // of its log
	Args []string
	Dir  string // "" for the root
	Env  []string
	As   User
	// Host has it run with the programs of this machine, whose files it sees read-only as far as everybody may read them; the
	// sandbox is at /mnt. Else the sandbox is all that it sees.
	Host bool
	Net  bool      // has the network of this machine; a job of others' programs must not
	In   io.Reader // nil for nothing
	Out  io.Writer // what it prints; nil for its log, which always has what it complains of
}

// await waits in a new user namespace until its users are there: until then it is nobody. As root of it, it goes on by exec.
const await = `echo >&4 && read go <&5 && exec 4>&- 5<&- && exec "$@"`

// enter takes from all that comes after the right to make user namespaces of its own, in which it would be root again, and has the
// sandbox at /mnt. It is found by the working directory: the way to it may be closed to the users of a sandbox.
const enter = `echo 0 >/proc/sys/user/max_user_namespaces && mount --no-canonicalize --bind ` + fsName + ` /mnt && exec "$@"`

// errLimit is the cause of an end by a limit.
type errLimit struct{ text string }

func (e *errLimit) Error() string { return e.text }

// Run runs a job. The error has what it printed where it failed.
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
		// The keys that this process has are not for others. The thread ends with its new ring, and not before the job: bubblewrap
		// ends with the thread that has started it.
		runtime.LockOSThread()
		_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // a container without keys
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

// maxPrinted is how many bytes Output returns.
const maxPrinted = 64 << 20

// Output runs a job and returns what it prints.
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

// watch ends a job that takes too long, or all of the disk. When stop returns, the sandbox is not looked at any more.
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
	// Nothing that this process was given open is for others: by a directory they would get out.
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

// whenEnded reads what bubblewrap tells of itself, the number of the first process inside, and returns what waits until that
// has ended, which all others do before. Bubblewrap itself does not wait.
func whenEnded(info io.Reader) (wait func()) {
	var told struct {
		Pid int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&told); err != nil {
		return func() {} // it has made none
	}
	fd, err := unix.PidfdOpen(told.Pid, 0)
	if err != nil {
		return func() {} // it has ended
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

// limits is a command that bounds what comes after it, which has it inherited.
func (s *Sandbox) limits() []string {
	l := s.Limits
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{
		// When memory is short, all of it ends before anything else does.
		"choom", "-n", "1000", "--", "prlimit", "--core=0", "--nproc=" + number(int64(l.Processes)), "--fsize=" + number(l.FileSize), "--data=" + number(l.Memory), "--",
	}
}

// namespace is a command that makes a user namespace. Root leaves all that it is before: else its number would be the maker's, and the
// number of processes not bounded. What it keeps until then is to make one where that is not for everybody.
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

// runAsRoot maps the users when the namespace is there, which root may do without having been given any.
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
	if n, _ := ready.Read(make([]byte, 1)); n == 1 { // else it has failed, and says why
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

// view is bubblewrap with what a job is to see and to be.
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

// asBuilder takes all rights from a command.
var asBuilder = []string{"setpriv", fmt.Sprint("--reuid=", builder), fmt.Sprint("--regid=", builder), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"}

// command is what runs inside. The builder's own rights are taken by the sandbox's own program: who could have changed that
// in there has them anyway.
func (j *Job) command() []string {
	if j.As != Builder {
		return j.Args
	}
	return slices.Concat(asBuilder, j.Args)
}

// bounded writes no more than so much, and says so.
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
