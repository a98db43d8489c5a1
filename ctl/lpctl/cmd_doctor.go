package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// check is one thing that must be right for lpctl to work, as doctor prints it.
type check struct {
	Name    string `json:"check"`
	OK      bool   `json:"ok"`
	Message string `json:"message"` // what was found, and what to do if it is not ok
}

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:   "doctor",
		Usage:  "check whether this machine can patch, and say what to do if not",
		Flags:  []cli.Flag{jsonFlag(), quietFlag()},
		Action: doctor,
	}
}

func doctor(c *cli.Context) error {
	if err := noArgument(c); err != nil {
		return err
	}
	list := append([]check{checkCapabilities(), checkKernel(), checkMapFiles()}, checkModule()...)
	bad := 0
	tw := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	for _, k := range list {
		word := "ok"
		if !k.OK {
			word = "FAIL"
			bad++
		}
		if c.Bool("json") {
			if err := printJSON(c.App.Writer, k); err != nil {
				return err
			}
		} else if !k.OK || !c.Bool("quiet") {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", word, k.Name, k.Message)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return &exitError{status: exitFailed, reported: true}
	}
	return nil
}

// needed are the capabilities that the kernel module asks for.
var needed = []struct {
	bit  int
	name string
}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}}

func checkCapabilities() check {
	k := check{Name: "capabilities"}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		k.Message = err.Error()
		return k
	}
	effective, err := strconv.ParseUint(proc.ParseStatus(string(text))["CapEff"], 16, 64)
	if err != nil {
		k.Message = fmt.Sprintf("cannot read CapEff of /proc/self/status: %v", err)
		return k
	}
	for _, n := range needed {
		if effective&(1<<n.bit) == 0 {
			k.Message = fmt.Sprintf("%s is missing; run lpctl as root", n.name)
			return k
		}
	}
	if m, err := os.ReadFile("/proc/self/uid_map"); err == nil && !initialUsers(string(m)) {
		k.Message = "this is not the initial user namespace; run lpctl outside of the container"
		return k
	}
	k.OK, k.Message = true, "CAP_SYS_ADMIN and CAP_SYS_PTRACE"
	return k
}

// initialUsers tells from /proc/self/uid_map whether the user namespace is the initial one: it maps all ids to themselves.
func initialUsers(uidMap string) bool {
	f := strings.Fields(uidMap)
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}

func checkKernel() check {
	k := check{Name: "kernel"}
	release, machine, err := kernelRelease()
	if err != nil {
		k.Message = err.Error()
		return k
	}
	k.OK, k.Message = supported(release, machine)
	return k
}

// kernelRelease is what the running kernel calls itself, and for what kind of machine it is.
func kernelRelease() (release, machine string, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", "", err
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), nil
}

// supported tells whether the module is made for a kernel, and in a sentence what is the matter if not.
func supported(release, machine string) (bool, string) {
	major, rest, _ := strings.Cut(release, ".")
	minor := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if len(minor) == 0 {
		minor = []string{"0"}
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor[0])
	switch {
	case machine != "x86_64":
		return false, fmt.Sprintf("%s on %s; only x86-64 is supported", release, machine)
	case errors.Join(err1, err2) != nil, a < 6, a == 6 && b < 1:
		return false, release + " is older than 6.1; boot a newer kernel"
	}
	return true, release + " on x86-64"
}

// checkMapFiles opens this program the way that images of targets are opened.
func checkMapFiles() check {
	k := check{Name: "map_files"}
	maps, err := procFS.Maps(os.Getpid())
	if err != nil {
		k.Message = err.Error()
		return k
	}
	for _, m := range maps {
		if m.Exec && m.Inode != 0 {
			f, err := procFS.OpenMapping(os.Getpid(), m)
			if err != nil {
				k.Message = fmt.Sprintf("%v; run lpctl as root, with /proc mounted", err)
				return k
			}
			f.Close()
		}
	}
	k.OK, k.Message = true, "/proc/PID/map_files can be used"
	return k
}

func checkModule() []check {
	k, err := connect()
	if errors.Is(err, lpnl.ErrNoModule) {
		return []check{{Name: "module", Message: "lpatch is not loaded; load it with \"modprobe lpatch\""}, secureBootHere(false)}
	}
	if err != nil {
		return []check{{Name: "module", Message: err.Error()}}
	}
	defer func() { _ = k.Close() }()
	i, err := k.Info()
	if err != nil {
		return []check{{Name: "module", Message: err.Error()}}
	}
	module := check{Name: "module", OK: i.Version == version, Message: "lpatch " + i.Version}
	if !module.OK {
		module.Message += ", but lpctl is " + version + "; after an upgrade the next boot brings the new module, else install both from the same build"
	}
	gates, err := k.Gates()
	if err != nil {
		return []check{module, {Name: "gates", Message: err.Error()}}
	}
	return []check{
		module,
		secureBootHere(true),
		{Name: "task_work", OK: true, Message: describeTaskWork(i)},
		{Name: "signatures", OK: !i.SignatureRequired || i.Keyring != 0, Message: describeSignatures(i)},
		{Name: "patches", OK: true, Message: describePatches(i)},
		{Name: "gates", OK: true, Message: describeGates(gates)},
	}
}

func secureBootHere(loaded bool) check {
	release, _, err := kernelRelease()
	if err != nil {
		return check{Name: "secure boot", Message: err.Error()}
	}
	return checkSecureBoot(release, loaded)
}

func describeTaskWork(i lpnl.Info) string {
	if i.TaskWork == "built-in" {
		return "lpatch is built into this kernel"
	}
	return "task_work_add found by " + i.TaskWork
}

func describeSignatures(i lpnl.Info) string {
	switch {
	case i.SignatureRequired && i.Keyring == 0:
		return "patches must be signed, and this kernel cannot verify: it is built without CONFIG_SYSTEM_DATA_VERIFICATION"
	case i.SignatureRequired:
		return "patches must be signed by a key in the keyring .lpatch, see \"lpctl key\""
	case i.Keyring == 0:
		return "this kernel cannot verify signatures, and does not require any"
	}
	return "not required; the module's parameter require_signature=1 changes that"
}

func describePatches(i lpnl.Info) string {
	s := fmt.Sprintf("%s in %s", plural(i.Patches, "patch object"), plural(i.Targets, "target"))
	if i.Targets > 0 {
		s += "; the module cannot be removed before they are reverted, see \"lpctl status\""
	}
	return s
}

// describeGates says which processes hold the module, those with the most threads first, and what to do.
func describeGates(gates []lpnl.Gate) string {
	if len(gates) == 0 {
		return "none is queued; the module can be removed once no target has a patch"
	}
	const most = 5
	var parts []string
	owners := byProcess(gates)
	for _, h := range owners[:min(most, len(owners))] {
		parts = append(parts, fmt.Sprintf("%d of %v", len(h.tids), h.Process))
	}
	if n := len(owners) - most; n > 0 {
		parts = append(parts, fmt.Sprintf("the others of %d more", n))
	}
	hold := "hold the module until they run again"
	if len(gates) == 1 {
		hold = "holds the module until it runs again"
	}
	return fmt.Sprintf("%s %s: %s; \"lpctl drain\" wakes them", plural(len(gates), "sleeping thread"), hold,
		strings.Join(parts, ", "))
}
