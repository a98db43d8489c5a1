// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// setAudit switches the audit subsystem on or off.
func setAudit(t *testing.T, enabled uint32) {
	t.Helper()
	c, err := netlink.Dial(unix.NETLINK_AUDIT, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const statusSize, maskEnabled = 40, 1 // struct audit_status begins with mask and enabled
	status := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, maskEnabled), enabled)
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.AUDIT_SET, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(status, make([]byte, statusSize-len(status))...),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// auditRecords listens to what the audit subsystem sends to those who only read. What it returns waits for the next record
// of lpatch.
func auditRecords(t *testing.T) (next func() string) {
	t.Helper()
	setAudit(t, 1)
	t.Cleanup(func() { setAudit(t, 0) })
	c, err := netlink.Dial(unix.NETLINK_AUDIT, &netlink.Config{Groups: 1 << (unix.AUDIT_NLGRP_READLOG - 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(patience(30 * time.Second))); err != nil {
			t.Fatal(err)
		}
		for {
			messages, err := c.Receive()
			if err != nil {
				t.Fatalf("waiting for an audit record: %v", err)
			}
			for _, m := range messages {
				if _, text, found := strings.Cut(strings.TrimRight(string(m.Data), "\x00\n"), "): lpatch: "); found {
					return text
				}
			}
		}
	}
}

// wantRecord compares the next record with what is known of it before the description of the caller, and that with this
// process.
func wantRecord(t *testing.T, next func() string, format string, args ...any) {
	t.Helper()
	got, want := next(), fmt.Sprintf(format, args...)
	pattern := "^" + strings.Replace(regexp.QuoteMeta(want), " res=", fmt.Sprintf(` ppid=\d+ pid=%d .* comm="cases\.test" .*res=`, os.Getpid()), 1) + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Fatalf("the audit record is\n%s\nwant\n%s", got, pattern)
	}
}

// TestAudit looks at the records of each verb, of refusals, of a program that starts, and of a name that would look like
// another field.
//
//machine:needs CONFIG_AUDIT CONFIG_SYSTEM_DATA_VERIFICATION
//machine:reloads
func TestAudit(t *testing.T) {
	c := emptyKeyring(t)
	v := startVictim(t, "victim")
	p := rawPatch(t, v.path, "value")
	transfer(t, c, p)
	next := auditRecords(t)
	content := sha256.Sum256(rawContent(t, p))
	about := fmt.Sprintf(`patch="raw" hash=%v content=%x signed=0 opid=%d ocomm="victim"`, p.Hash, content, v.pid)
	for _, verb := range []lpnl.Verb{lpnl.VerbLoad, lpnl.VerbApply, lpnl.VerbRestore} {
		do(t, c, verb, p, v.pid)
		wantRecord(t, next, "op=%s %s exit=0 res=1", verb, about)
	}
	do(t, c, lpnl.VerbCheck, p, v.pid) // changes nothing, so there is no record
	do(t, c, lpnl.VerbUnload, p, v.pid)
	wantRecord(t, next, "op=unload %s exit=0 res=1", about)
	refuse(t, c, lpnl.VerbRestore, p, v.pid, lpnl.Options{}, lpnl.RefusalNotLoaded)
	wantRecord(t, next, "op=restore %s exit=-%d res=0", about, unix.ENOENT)
	refuse(t, c, lpnl.VerbApply, p, 4194000, lpnl.Options{}, lpnl.RefusalTargetGone)
	wantRecord(t, next, `op=apply patch="raw" hash=%v content=%x signed=0 opid=4194000 exit=-%d res=0`, p.Hash, content, unix.ESRCH)

	q := rawPatch(t, fixtures+"start", "value")
	q.Name = `a" res=1`
	addBoot(t, c, q, 0)
	wantRecord(t, next, "op=boot-add patch=%X hash=%v content=%x signed=0 exit=0 res=1", q.Name, q.Hash, sha256.Sum256(rawContent(t, q)))
	if got := exitOf(t, fixtures+"start"); got != 2 {
		t.Fatalf("the program exits with %d, want 2", got)
	}
	if got, want := next(), fmt.Sprintf("op=boot patch=%X hash=%v content=%x signed=0 opid=", q.Name, q.Hash, sha256.Sum256(rawContent(t, q))); !strings.HasPrefix(got, want) {
		t.Fatalf("the audit record is\n%s\nwant\n%s", got, want)
	}

	trust(t, c, newIdentity(t, "good", 1, time.Hour))
	wantRecord(t, next, `op=key-add key=%X exit=0 res=1`, "good: 01")
	askForSignatures(t)
	wantRecord(t, next, "op=require-signature exit=0 res=1")
	if err := c.KeyLock(); err == nil {
		t.Fatal("a keyring with a key that nobody vouched for is locked too late")
	}
	wantRecord(t, next, "op=key-lock exit=-%d res=0", unix.EKEYREJECTED)
	refuse(t, c, lpnl.VerbApply, p, v.pid, lpnl.Options{}, lpnl.RefusalUnsigned)
	wantRecord(t, next, "op=apply %s exit=-%d res=0", about, unix.EKEYREJECTED)
	wantRefused(t, c, p, saysUnsigned)
	wantRecord(t, next, `op=seal patch="raw" hash=%v content=%x signed=0 exit=-%d res=0`, p.Hash, content, unix.ENOKEY)
	if err := c.BootAdd(p.Hash, 0); err == nil {
		t.Fatal("a boot entry for an unsigned patch is accepted")
	}
	wantRecord(t, next, `op=boot-add patch="raw" hash=%v content=%x signed=0 exit=-%d res=0`, p.Hash, content, unix.EKEYREJECTED)
	if err := c.BootRemove(q.Hash); err != nil {
		t.Fatal(err)
	}
	wantRecord(t, next, "op=boot-remove patch=%X hash=%v content=%x signed=0 exit=0 res=1", q.Name, q.Hash, sha256.Sum256(rawContent(t, q)))
	if _, err := c.Drain(); err != nil {
		t.Fatal(err)
	}
	wantRecord(t, next, "op=drain exit=0 res=1")
}
