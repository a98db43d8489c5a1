// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"os"
	"path"
	"slices"
	"strings"
)

// modprobeDirs are where modprobe's settings are; of files of one name it reads that in the first (modprobe.d(5)).
var modprobeDirs = []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"}

// setting is a line of modprobe's settings that is about lpatch.
type setting struct {
	file  string   // below the root, "/etc/modprobe.d/x.conf"
	verb  string   // options, install, blacklist
	words []string // what follows the module's name
}

// settings are the lines of modprobe's settings that are about lpatch, in the order in which modprobe reads them.
func (m Machine) settings() []setting {
	files := map[string]string{} // by name
	for _, dir := range modprobeDirs {
		entries, _ := os.ReadDir(m.path(dir)) // most need not be there
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

// option finds the last value that modprobe's settings give a parameter of the module, and in which file; "" if none.
func (m Machine) option(name string) (value, file string) {
	for _, s := range m.settings() {
		if s.verb != "options" {
			continue
		}
		for _, word := range s.words {
			if v, found := strings.CutPrefix(word, name+"="); found {
				value, file = v, s.file
			} else if word == name {
				value, file = "1", s.file // as the kernel takes a bool without a value
			}
		}
	}
	return value, file
}

// replaced finds a line that has modprobe do nothing instead of loading the module.
func (m Machine) replaced() (line, file string) {
	for _, s := range m.settings() {
		if s.verb == "install" && len(s.words) > 0 && slices.Contains([]string{"false", "true", ":"}, path.Base(s.words[0])) {
			return "install lpatch " + strings.Join(s.words, " "), s.file
		}
	}
	return "", ""
}

// notByItself is what a blacklist changes: modprobe loads the module by its name all the same; systemd-modules-load does not.
func (m Machine) notByItself() string {
	for _, s := range m.settings() {
		if s.verb == "blacklist" {
			return "; nothing else loads it, as " + s.file + " has \"blacklist lpatch\""
		}
	}
	return ""
}

// Configured tells of modprobe's settings what the module will require once it is loaded; nil if that is nothing.
func (m Machine) Configured() []Check {
	value, file := m.option("require_signature")
	if value == "" || isNo(value) {
		return nil
	}
	return []Check{ok("signatures", "once lpatch is loaded, patches must be signed, as %s has \"options lpatch require_signature=%s\"; "+
		"\"lpctl key add CERT\" says by whom", file, value)}
}

// isNo tells whether the kernel takes a word for false (kstrtobool).
func isNo(word string) bool {
	word = strings.ToLower(word)
	return strings.HasPrefix(word, "0") || strings.HasPrefix(word, "n") || strings.HasPrefix(word, "of") || strings.HasPrefix(word, "f")
}
