// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// journalID marks the messages of lpctl watch, for journalctl MESSAGE_ID=…
const journalID = "c8d5a0f67b2e4d0ba3c1f4be0d6b1d97"

// Of syslog(3).
const (
	priorityWarning = 4
	priorityInfo    = 6
)

// journal sends to systemd-journald.
type journal struct{ conn net.Conn }

func (h *host) openJournal() (*journal, error) {
	conn, err := net.Dial("unixgram", h.journalPath)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be reached, is systemd-journald running? %w", err)
	}
	return &journal{conn}, nil
}

func (j *journal) Close() error { return j.conn.Close() }

// send writes an event with its sentence and its fields.
func (j *journal) send(text string, e eventJSON) error {
	priority := priorityInfo
	fields := [][2]string{
		{"MESSAGE", text},
		{"MESSAGE_ID", journalID},
		{"SYSLOG_IDENTIFIER", "lpctl"},
		{"LPATCH_VERB", e.Verb},
		{"LPATCH_PATCH", e.Patch},
		{"LPATCH_STATE", e.State},
		{"LPATCH_FUNCTIONS", strconv.Itoa(e.Functions)},
		{"LPATCH_VALUES", strconv.Itoa(e.Values)},
		{"LPATCH_THREADS", strconv.Itoa(e.Threads)},
		{"LPATCH_ACTIVE_THREADS", strconv.Itoa(e.ActiveThreads)},
		{"LPATCH_STOP_NS", strconv.FormatInt(e.StopNS, 10)},
		{"OBJECT_PID", strconv.Itoa(e.PID)}, // journald adds what it knows of that process
		{"LPATCH_COMM", e.Comm},
	}
	fields = append(fields, aboutFields(e.About)...)
	if e.Error != nil {
		priority = priorityWarning
		fields = append(fields, [2]string{"LPATCH_CODE", e.Error.Code})
		if e.Error.TID != 0 {
			fields = append(fields, [2]string{"LPATCH_TID", strconv.Itoa(e.Error.TID)})
		}
		if e.Error.Function != "" {
			fields = append(fields, [2]string{"LPATCH_FUNCTION", e.Error.Function})
		}
	}
	fields = append(fields, [2]string{"PRIORITY", strconv.Itoa(priority)})
	_, err := j.conn.Write(encodeJournal(fields))
	return err
}

// aboutFields are what a patch is for. A field may be there several times.
func aboutFields(a *patch.About) [][2]string {
	if a == nil {
		return nil
	}
	var fields [][2]string
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"LPATCH_CVE", a.CVEs}, {"LPATCH_ADVISORY", a.Advisories}, {"LPATCH_TITLE", []string{a.Title}}, {"LPATCH_SEVERITY", []string{string(a.Severity)}},
		{"LPATCH_PACKAGE", []string{a.Package}}, {"LPATCH_PACKAGE_VERSION", []string{a.Version}}, {"LPATCH_FIXED_VERSION", []string{a.Fixed}},
	} {
		for _, value := range f.values {
			if value != "" {
				fields = append(fields, [2]string{f.name, value})
			}
		}
	}
	return fields
}

// encodeJournal is systemd's "native journal protocol" (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). No value has a newline.
func encodeJournal(fields [][2]string) []byte {
	var out bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&out, "%s=%s\n", f[0], names.Visible(f[1]))
	}
	return out.Bytes()
}

// describeEvent is an event in a sentence, for people: the fields have the symbols as they are.
func describeEvent(r lpnl.Report) string {
	o := outcome(r)
	if o.Err != nil {
		return names.Visible(fmt.Sprintf("refused to %s %s in %v: %s", r.Verb, r.Patch, o.Process, names.InText(o.Err.Error())))
	}
	return sentence(r.Verb, o)
}
