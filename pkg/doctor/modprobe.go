// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"os"
	"path"
	"slices"
	"strings"
)

// modprobeDirs are the configuration directories of modprobe. Of several files with one name, it reads only the first
// (modprobe.d(5)).
var modprobeDirs = []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"}

// setting is a line of modprobe's configuration that concerns lpatch.
type setting struct {
	file  string   // path relative to the root, "/etc/modprobe.d/x.conf"
	verb  string   // options, install, blacklist
	words []string // arguments after the name of the module
}

// settings returns the lines of modprobe's configuration that concern lpatch, in the order in which modprobe reads them.
func (m Machine) settings() []setting {
	files := map[string]string{} // by name
	for _, dir := range modprobeDirs {
		entries, _ := os.ReadDir(m.path(dir)) // most directories may be missing
		for _, e := range entries {
			if files[e.Name()] == "" && strings.HasSuffix(e.Name(), ".conf") {
				files[e.Name()] = path.Join("/", dir, e.Name())
			}
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []setting
	for _, name := range names {
		text := strings.ReplaceAll(read(m.path(files[name])), "\\\n", " ")
		for line := range strings.Lines(text) {
			if words := strings.Fields(line); len(words) > 1 && words[1] == "lpatch" {
				list = append(list, setting{files[name], words[0], words[2:]})
			}
		}
	}
	return list
}

// option returns the last value that modprobe's configuration sets for a module parameter, and the file; "" if it is not set.
func (m Machine) option(name string) (value, file string) {
	for _, s := range m.settings() {
		if s.verb != "options" {
			continue
		}
		for _, word := range s.words {
			if v, found := strings.CutPrefix(word, name+"="); found {
				value, file = v, s.file
			} else if word == name {
				value, file = "1", s.file // a bool parameter without a value is true
			}
		}
	}
	return value, file
}

// replaced returns a line that makes modprobe run another command instead of loading the module.
func (m Machine) replaced() (line, file string) {
	for _, s := range m.settings() {
		if s.verb == "install" && len(s.words) > 0 && slices.Contains([]string{"false", "true", ":"}, path.Base(s.words[0])) {
			return "install lpatch " + strings.Join(s.words, " "), s.file
		}
	}
	return "", ""
}

// notByItself returns a clause for a message if the module is blacklisted, else "". modprobe still loads a blacklisted module
// by name; systemd-modules-load does not.
func (m Machine) notByItself() string {
	for _, s := range m.settings() {
		if s.verb == "blacklist" {
			return "; nothing else loads it, as " + s.file + " has \"blacklist lpatch\""
		}
	}
	return ""
}

// Configured returns what the module will require once it is loaded, according to modprobe's configuration; nil if nothing.
func (m Machine) Configured() []Check {
	value, file := m.option("require_signature")
	if value == "" || isNo(value) {
		return nil
	}
	return []Check{ok("signatures", "once lpatch is loaded, patches must be signed, as %s has \"options lpatch require_signature=%s\"; "+
		"\"lpctl key add CERT\" says by whom", file, value)}
}

// isNo reports whether the kernel parses a word as false (kstrtobool).
func isNo(word string) bool {
	word = strings.ToLower(word)
	return strings.HasPrefix(word, "0") || strings.HasPrefix(word, "n") || strings.HasPrefix(word, "of") || strings.HasPrefix(word, "f")
}
