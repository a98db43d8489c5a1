// SPDX-License-Identifier: GPL-2.0

package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// idCount is the number of UIDs and GIDs of a sandbox: as many as a Debian system expects.
const idCount = 65536

// ids contains the UID and GID on this machine that the root user of a sandbox is mapped to; the others follow.
type ids struct{ uid, gid int }

// firstID is the number from which root searches for unused UIDs and GIDs. systemd-nspawn allocates those of containers from
// here on, and useradd does not use them.
const firstID = 524288

// tables contains the paths of the files that assign UIDs and GIDs.
type tables struct{ subuid, subgid, passwd, group string }

var system = tables{"/etc/subuid", "/etc/subgid", "/etc/passwd", "/etc/group"}

// findIDs returns the IDs for the sandboxes of a user: his subordinate IDs. Root can use unassigned ones.
func findIDs(uid int, t tables) (ids, error) {
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	owned := func(file string) (int, error) {
		ranges, err := readRanges(file)
		for _, r := range ranges {
			if (r.owner == name || r.owner == strconv.Itoa(uid)) && r.count >= idCount && r.first > 0 {
				return r.first, err
			}
		}
		return 0, err
	}
	users, err := owned(t.subuid)
	groups, other := owned(t.subgid)
	switch {
	case err != nil || other != nil:
		return ids{}, errors.Join(err, other)
	case users != 0 && groups != 0:
		return ids{users, groups}, nil
	case uid == 0:
		return t.unused()
	}
	return ids{}, fmt.Errorf("a sandbox needs %d subordinate user and group numbers, and /etc/subuid and /etc/subgid have none for %s: "+
		"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %[2]s gives some that nobody else must have; or run lpctl as root", idCount, name)
}

// idRange is a line of /etc/subuid, or an ID assigned to a user.
type idRange struct {
	owner        string
	first, count int
}

// unused returns a range of IDs that the tables assign to nobody.
func (t tables) unused() (ids, error) {
	var taken []idRange
	for _, file := range []string{t.subuid, t.subgid, t.passwd, t.group} {
		ranges, err := readRanges(file)
		if err != nil {
			return ids{}, err
		}
		taken = append(taken, ranges...)
	}
	for first := firstID; first < 1<<31-idCount; first += idCount {
		free := true
		for _, r := range taken {
			free = free && (r.first+r.count <= first || first+idCount <= r.first)
		}
		if free {
			return ids{first, first}, nil
		}
	}
	return ids{}, errors.New("a sandbox needs 65536 user numbers that nobody has, and there are none: give root some in /etc/subuid and /etc/subgid")
}

// readRanges reads lines of the form NAME:FIRST:COUNT, as in /etc/subuid, or NAME:PASSWORD:ID. A missing file is empty.
func readRanges(file string) ([]idRange, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []idRange
	s := bufio.NewScanner(f)
	for s.Scan() {
		field := strings.Split(s.Text(), ":")
		if len(field) < 3 {
			continue
		}
		last, err := strconv.Atoi(strings.TrimSpace(field[2]))
		if err != nil {
			continue
		}
		r := idRange{owner: field[0], first: last, count: 1}
		if first, err := strconv.Atoi(field[1]); err == nil {
			r.first, r.count = first, last
		}
		out = append(out, r)
	}
	return out, s.Err()
}
