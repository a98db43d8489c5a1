// SPDX-License-Identifier: GPL-2.0

package sandbox

import (
	"fmt"
	"os"
	"strings"
)

// Missing returns what this machine lacks to run a sandbox of an unprivileged user, and the commands that install it.
func Missing(uid int, lookPath func(string) (string, error)) []string {
	tools := []string{"bwrap", "unshare", "setpriv", "prlimit", "choom", "mount"}
	packages := map[string]string{"bwrap": "bubblewrap", "mount": "mount"}
	if uid != 0 {
		tools = append(tools, "newuidmap", "newgidmap")
		packages["newuidmap"], packages["newgidmap"] = "uidmap", "uidmap"
	}
	var out []string
	for _, tool := range tools {
		if _, err := lookPath(tool); err != nil {
			from := packages[tool]
			if from == "" {
				from = "util-linux"
			}
			out = append(out, fmt.Sprintf("%s (apt-get install %s)", tool, from))
		}
	}
	return out
}

// readSysctl returns the value of a sysctl, or "" if the kernel does not have it.
func readSysctl(name string) string {
	data, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// explain returns an error with the likely reason why no sandbox can be created.
func explain(err error, uid int, sysctl func(string) string) error {
	why := "see what the command printed; in a container it needs the rights to make user namespaces and to mount"
	switch {
	case sysctl("user.max_user_namespaces") == "0":
		why = "user.max_user_namespaces is 0: sysctl -w user.max_user_namespaces=10000 permits them"
	case uid != 0 && sysctl("kernel.unprivileged_userns_clone") == "0":
		why = "kernel.unprivileged_userns_clone is 0: sysctl -w kernel.unprivileged_userns_clone=1 permits them; or run lpctl as root"
	case uid != 0 && sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
		why = "kernel.apparmor_restrict_unprivileged_userns is 1: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 permits them; or run lpctl as root"
	}
	return fmt.Errorf("a sandbox needs user namespaces, and none can be made here (%s): %w", why, err)
}
