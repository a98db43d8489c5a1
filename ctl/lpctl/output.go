// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/progress"
	"lpatch/pkg/table"
)

// targetJSON is one target, as --json prints it: a contract.
type targetJSON struct {
	Patch           string     `json:"patch"`
	PID             int        `json:"pid"`
	Comm            string     `json:"comm"`
	State           string     `json:"state"`
	Functions       int        `json:"functions"`
	Values          int        `json:"values"`
	Threads         int        `json:"threads"`
	Attempts        int        `json:"attempts"`
	StopNS          int64      `json:"stop_ns"`
	StopLimitNS     int64      `json:"stop_limit_ns"`
	LongestThreadNS int64      `json:"longest_thread_ns"`
	LockNS          int64      `json:"lock_ns"`
	Phases          phasesJSON `json:"phases"`
	MappedAt        uint64     `json:"mapped_at"`
	MappedBytes     uint64     `json:"mapped_bytes"`
	ActiveThreads   int        `json:"active_threads"` // in code from before; of a check: that would be
	ActiveTID       int        `json:"active_tid,omitempty"`
	ActiveFunction  string     `json:"active_function,omitempty"`
	ActivePatch     string     `json:"active_patch,omitempty"`
	Layer           int        `json:"layer,omitempty"` // in a status, of an applied patch: from 1, the first that was applied
	Note            string     `json:"note,omitempty"`  // in a status: what could not be found out
	Error           *errorJSON `json:"error"`           // null if all went well

	About *patch.About `json:"about,omitempty"` // in a status and an event, where the patch says what it is for
	// Mitigation is, in a status, what a patch does that is no fix.
	Mitigation *mitigationJSON `json:"mitigation,omitempty"`
}

// mitigationJSON is what a mitigation does in a target.
type mitigationJSON struct {
	Function string  `json:"function"`
	Action   string  `json:"action"`
	Hits     *uint64 `json:"hits"`           // null if it could not be read
	Note     string  `json:"note,omitempty"` // why
}

func newMitigationJSON(m *apply.Mitigation) *mitigationJSON {
	switch {
	case m == nil:
		return nil
	case m.Err != nil:
		return &mitigationJSON{Function: m.Function, Action: m.Action, Note: m.Err.Error()}
	}
	return &mitigationJSON{Function: m.Function, Action: m.Action, Hits: &m.Hits}
}

// phasesJSON are the parts of a stop window.
type phasesJSON struct {
	GateNS    int64 `json:"gate_ns"`
	BarrierNS int64 `json:"barrier_ns"`
	CheckNS   int64 `json:"check_ns"`
	WriteNS   int64 `json:"write_ns"`
	ReleaseNS int64 `json:"release_ns"`
}

// errorJSON is why a target failed.
type errorJSON struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	TID      int    `json:"tid"`
	Function string `json:"function"`
}

func newTargetJSON(r lpnl.Report, err error) targetJSON {
	out := targetJSON{
		Patch: r.Patch, PID: r.PID, Comm: r.Comm, State: r.State.String(),
		Functions: r.Functions, Values: r.Values, Threads: r.Threads, Attempts: r.Attempts,
		StopNS: int64(r.Stop), StopLimitNS: int64(r.StopLimit), LongestThreadNS: int64(r.LongestThread), LockNS: int64(r.Lock),
		Phases: phasesJSON{
			GateNS: int64(r.Gate), BarrierNS: int64(r.Barrier), CheckNS: int64(r.Check),
			WriteNS: int64(r.Write), ReleaseNS: int64(r.Release),
		},
		MappedAt: r.MappedAt, MappedBytes: r.MappedBytes, Layer: r.Layer,
		ActiveThreads: r.ActiveThreads, ActiveTID: r.ActiveTID, ActiveFunction: r.ActiveFunction, ActivePatch: r.ActivePatch,
	}
	if err == nil {
		out.Note = r.Message
	}
	if err != nil {
		out.Error = &errorJSON{Code: code(err), Message: err.Error(), TID: r.TID, Function: r.Function}
		var own *apply.Refusal
		if errors.As(err, &own) && own.Function != "" { // of which the kernel has no report
			out.Error.Function = own.Function
		}
	}
	return out
}

// unseenError is what kept us from a process of which it is not known whether it is meant.
type unseenError struct{ error }

// code names an error for programs: as the contract with the kernel does, where it is a refusal.
func code(err error) string {
	var stays *apply.Stays
	var unseen unseenError
	switch {
	case errors.As(err, &unseen), errors.Is(err, os.ErrDeadlineExceeded): // as pkg/proc and pkg/apply give up
		return "unseen"
	case errors.As(err, &stays):
		return code(stays.Cause)
	case apply.RefusalCode(err) != lpnl.RefusalNone:
		return apply.RefusalCode(err).String()
	case lpnl.RefusesSignature(err):
		return lpnl.RefusalUnsigned.String()
	case apply.Gone(err):
		return lpnl.RefusalTargetGone.String()
	case errors.Is(err, os.ErrPermission):
		return "not-permitted"
	}
	return "error"
}

// printJSON writes one object on a line of its own.
func printJSON(w io.Writer, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(lossless(v)); err != nil {
		return err
	}
	_, err := io.WriteString(w, plainJSON(text.String()))
	return err
}

// plainJSON writes what cannot be seen as JSON has it, so that it is the same text.
func plainJSON(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r) || r == '\n':
			out.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
	}
	return out.String()
}

// lossless returns a copy of a value in which each text is one of JSON's, which is UTF-8: other bytes become a literal string of
// Go, in quotes, and so does what looks like one.
func lossless(v any) any {
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	quoteTexts(out)
	return out.Interface()
}

func quoteTexts(v reflect.Value) {
	copyOf := func(old reflect.Value) reflect.Value {
		own := reflect.New(old.Type())
		own.Elem().Set(old)
		quoteTexts(own.Elem())
		return own
	}
	switch v.Kind() {
	case reflect.String:
		text := v.String()
		if _, err := strconv.Unquote(text); v.CanSet() && (!utf8.ValidString(text) || err == nil && text[0] == '"') {
			v.SetString(strconv.Quote(text))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.CanSet() {
			v.Set(copyOf(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() && v.CanSet() {
			v.Set(copyOf(v.Elem()).Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			quoteTexts(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() || !v.CanSet() {
			break
		}
		v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
		for i := range v.Len() {
			quoteTexts(v.Index(i))
		}
	}
}

// printLine prints one line, whatever the arguments are.
func printLine(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintln(w, names.Visible(fmt.Sprintf(format, args...)))
	return err
}

// deeds are the sentences of the verbs.
var deeds = map[apply.Verb]string{
	lpnl.VerbCheck:   "checked %s: can be applied to %s",
	lpnl.VerbLoad:    "loaded %s into %s",
	lpnl.VerbApply:   "applied %s to %s",
	lpnl.VerbRestore: "restored %s in %s",
	lpnl.VerbUnload:  "unloaded %s from %s",
	apply.Revert:     "reverted %s in %s",
}

// sentence says what was done to a target.
func sentence(verb apply.Verb, o apply.Outcome) string {
	r := o.Report
	var facts []string
	if verb != lpnl.VerbUnload {
		facts = append(facts, changes(r.Functions, r.Values)...)
	}
	if verb == lpnl.VerbLoad {
		at := ""
		if r.MappedAt != 0 { // not in an event
			at = fmt.Sprintf(" at %#x", r.MappedAt)
		}
		facts = append(facts, plural(int(r.MappedBytes), "byte")+at)
	}
	if r.Attempts > 0 {
		facts = append(facts, plural(r.Threads, "thread"),
			fmt.Sprintf("stopped %s (limit %s)", duration(r.Stop), duration(r.StopLimit)))
	}
	if r.ActiveThreads > 0 {
		facts = append(facts, inOldCode(r))
	}
	deed, ok := deeds[verb]
	if verb == apply.Revert && r.ActiveThreads > 0 { // it could only be restored
		deed = deeds[lpnl.VerbRestore]
	}
	if !ok { // an event of a newer kernel
		return names.Visible(fmt.Sprintf("%s is %v in %v", r.Patch, r.State, o.Process))
	}
	s := fmt.Sprintf(deed, r.Patch, o.Process)
	if len(facts) > 0 {
		s += ": " + strings.Join(facts, ", ")
	}
	return names.Visible(s)
}

// inOldCode says how many threads are still in code from before, and where one of them is.
func inOldCode(r lpnl.Report) string {
	place := r.ActiveFunction
	if r.ActivePatch != "" {
		place = "patch " + r.ActivePatch
	}
	how := "in"
	if r.Verb == lpnl.VerbCheck {
		how = "would stay in"
	}
	text := fmt.Sprintf("%s %s old code", plural(r.ActiveThreads, "thread"), how)
	if place != "" {
		text += fmt.Sprintf(": %s (thread %d)", place, r.ActiveTID)
	}
	return text
}

// stateText is a state, with how many calls have not left the code of before it.
func stateText(state lpnl.State, active int) string {
	if active == 0 {
		return state.String()
	}
	return fmt.Sprintf("%v, %s in old code", state, plural(active, "call"))
}

// changes says how many functions and values there are, leaving out what there is none of.
func changes(functions, values int) []string {
	var list []string
	if functions > 0 {
		list = append(list, plural(functions, "function"))
	}
	if values > 0 {
		list = append(list, plural(values, "value"))
	}
	return list
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// plurals is plural for a word that does not end in s then.
func plurals(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// duration writes a time with three significant digits.
func duration(d time.Duration) string {
	v, unit := round3(float64(d)), "ns"
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if v >= float64(u.of) {
			v, unit = round3(v/float64(u.of)), u.name
			break
		}
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " " + unit
}

// round3 rounds to three significant digits.
func round3(v float64) float64 {
	if v <= 0 {
		return 0
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	return rounded
}

// complain writes why a target failed to w.
func complain(w io.Writer, o apply.Outcome) {
	text := o.Err.Error()
	if name := o.Process.String(); o.Process.Comm != "" && !strings.HasPrefix(text, name) {
		text = name + ": " + text
	}
	switch statusOfOutcome(o) {
	case exitActive:
		text += ", " + inOldCode(o.Report)
	case exitNothing:
		text = "nothing to do: " + text
	case exitRefused:
		text = "refused: " + text
	}
	fmt.Fprintf(w, "lpctl: %s%s\n", text, nextStep(o.Err))
}

// terminal is the file descriptor that is written to, if somebody may look at that.
func terminal(w io.Writer) (fd int, ok bool) {
	if readable, ok := w.(names.Writer); ok {
		w = readable.To
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return int(f.Fd()), err == nil
}

func isTerminal(w io.Writer) bool {
	_, ok := terminal(w)
	return ok
}

// reporter tells what a long task is doing, unless only errors are wanted.
func reporter(c *cli.Command) progress.Reporter {
	if c.Bool("quiet") {
		return progress.Reporter{}
	}
	return progress.Reporter{To: c.ErrWriter, Live: isTerminal(c.ErrWriter)}
}

// tableWidth is how wide a table may be, in columns; 0 is any width.
func tableWidth(c *cli.Command) int {
	if c.Bool("wide") {
		return 0
	}
	return terminalWidth(c.Writer)
}

// columns prints rows below a head, or nothing if there are none. What has no room in the last column goes on below.
func columns(w io.Writer, limit int, head string, rows [][]string) error {
	t := table.Table{Rows: rows}
	for name := range strings.SplitSeq(head, "\t") {
		t.Columns = append(t.Columns, table.Column{Head: name})
	}
	t.Columns[len(t.Columns)-1].Wrap = true
	return t.Write(w, limit)
}

// sumUp prints a line below a table.
func sumUp(w io.Writer, text string) error {
	fmt.Fprintln(w)
	return printLine(w, "%s", text)
}

// terminalWidth is how many columns there are, 0 if that is not known or no terminal.
func terminalWidth(w io.Writer) int {
	fd, ok := terminal(w)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
