// SPDX-License-Identifier: GPL-2.0

package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestIDs checks the IDs of a sandbox.
func TestIDs(t *testing.T) {
	const somebody = 64243 // a UID without a name
	for name, c := range map[string]struct {
		uid            int
		subuid, subgid string
		want           ids
		err            string
	}{
		"given by number": {somebody, "x:100000:65536\n64243:300000:65536\n", "64243:400000:70000\n", ids{300000, 400000}, ""},
		"too few": {somebody, "64243:300000:65535\n", "64243:400000:65536\n", ids{}, "a sandbox needs 65536 subordinate user and group numbers, and /etc/subuid and /etc/subgid have none for 64243: " +
			"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 64243 gives some that nobody else must have; or run lpctl as root"},
		"the machine's own": {0, "root:0:100000\n", "root:0:100000\n", ids{524288, 524288}, ""},
		"given to root":     {0, "root:100000:65536\n", "root:200000:65536\n", ids{100000, 200000}, ""},
		"that nobody has":   {0, "x:500000:65536\n", "y:600000:65536\n", ids{720896, 720896}, ""},
		"of a user":         {0, "", "", ids{524288, 524288}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filetest.Tree(t, dir, map[string]string{"subuid": c.subuid, "subgid": c.subgid, "passwd": "root:x:0:0::/:/bin/sh\nz:x:700000:100::/:/bin/sh\n", "group": "root:x:0:\n"})
			if name == "of a user" { // there are no tables of subordinate IDs
				if err := errors.Join(os.Remove(dir+"/subuid"), os.Remove(dir+"/subgid")); err != nil {
					t.Fatal(err)
				}
			}
			path := func(name string) string { return filepath.Join(dir, name) }
			got, err := findIDs(c.uid, tables{path("subuid"), path("subgid"), path("passwd"), path("group")})
			if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestNotPermitted checks the advice if the kernel does not permit sandboxes.
func TestNotPermitted(t *testing.T) {
	for _, c := range []struct {
		uid               int
		name, value, want string
	}{
		{0, "user.max_user_namespaces", "0", "user.max_user_namespaces is 0: sysctl -w user.max_user_namespaces=10000 permits them"},
		{1, "kernel.unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0: sysctl -w kernel.unprivileged_userns_clone=1 permits them; or run lpctl as root"},
		{1, "kernel.apparmor_restrict_unprivileged_userns", "1",
			"kernel.apparmor_restrict_unprivileged_userns is 1: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 permits them; or run lpctl as root"},
		{0, "kernel.unprivileged_userns_clone", "0", "see what the command printed; in a container it needs the rights to make user namespaces and to mount"},
	} {
		sysctl := func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		}
		if got, want := explain(errors.New("x"), c.uid, sysctl).Error(), "a sandbox needs user namespaces, and none can be made here ("+c.want+"): x"; got != want {
			t.Errorf("it says\n%s\nand not\n%s", got, want)
		}
	}
}
