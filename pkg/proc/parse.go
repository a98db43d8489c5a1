// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// kernelThread is PF_KTHREAD of <linux/sched.h>.
const kernelThread = 0x00200000

// Mapping is a line of /proc/PID/maps.
type Mapping struct {
	Start, End uint64
	Exec       bool
	Offset     uint64 // file offset
	Dev        string // "major:minor" in hexadecimal
	Inode      uint64 // 0 for anonymous memory
	Path       string // as reported by the kernel, without " (deleted)"
	Deleted    bool
}

// ParseMaps parses the content of /proc/PID/maps.
func ParseMaps(r io.Reader) ([]Mapping, error) {
	var list []Mapping
	err := scanMaps(r, func(m Mapping) error {
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// scanMaps is like ParseMaps, but calls each for one mapping at a time.
func scanMaps(r io.Reader, each func(Mapping) error) error {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		m, err := parseMapping(sc.Text())
		if err == nil {
			err = each(m)
		}
		if err != nil {
			return err
		}
	}
	return sc.Err()
}

func parseMapping(line string) (Mapping, error) {
	var m Mapping
	bad := func() (Mapping, error) { return Mapping{}, fmt.Errorf("maps: cannot read line %q", line) }
	// address range, permissions, offset, device, inode, spaces, and a path that may contain spaces
	fields := make([]string, 5)
	rest := line
	for i := range fields {
		fields[i], rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	}
	start, end, ok := strings.Cut(fields[0], "-")
	if !ok || len(fields[1]) < 4 || fields[4] == "" {
		return bad()
	}
	for _, n := range []struct {
		text string
		base int
		to   *uint64
	}{{start, 16, &m.Start}, {end, 16, &m.End}, {fields[2], 16, &m.Offset}, {fields[4], 10, &m.Inode}} {
		v, err := strconv.ParseUint(n.text, n.base, 64)
		if err != nil {
			return bad()
		}
		*n.to = v
	}
	m.Exec, m.Dev = fields[1][2] == 'x', fields[3]
	// the kernel escapes only newlines in paths, as \012
	m.Path, m.Deleted = strings.CutSuffix(strings.TrimLeft(rest, " "), " (deleted)")
	m.Path = strings.ReplaceAll(m.Path, `\012`, "\n")
	return m, nil
}

// Stat contains the fields of /proc/PID/stat that identify a process.
type Stat struct {
	PID       int
	Comm      string
	State     byte   // 'Z' is a zombie
	Kernel    bool   // a kernel thread
	Threads   int    // number of threads in the thread group
	StartTime uint64 // clock ticks since boot
}

// ParseStat parses the content of /proc/PID/stat.
func ParseStat(text string) (Stat, error) {
	// the name may contain spaces and parentheses
	open, closing := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || closing < open {
		return Stat{}, fmt.Errorf("stat: cannot read %q", text)
	}
	fields := strings.Fields(text[closing+1:]) // field 3 and the following
	if len(fields) < 20 || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("stat: cannot read %q", text)
	}
	s := Stat{Comm: text[open+1 : closing], State: fields[0][0]}
	var err error
	number := func(t string) uint64 {
		v, e := strconv.ParseUint(strings.TrimSpace(t), 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("stat: cannot read %q: %w", text, e)
		}
		return v
	}
	s.PID = int(number(text[:open]))
	s.Kernel = number(fields[9-3])&kernelThread != 0
	s.Threads = int(number(fields[20-3]))
	s.StartTime = number(fields[22-3])
	if err != nil {
		return Stat{}, err
	}
	return s, nil
}

// ParseStatus parses the content of /proc/PID/status into values by name.
func ParseStatus(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			values[name] = strings.TrimSpace(value)
		}
	}
	return values
}

// numbers returns the names that are decimal numbers, sorted.
func numbers(names []string) []int {
	var list []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}
