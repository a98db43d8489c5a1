// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/arch"
)

// TestAgainstObjdump compares the length of every instruction of real programs with GNU objdump.
func TestAgainstObjdump(t *testing.T) {
	if _, err := exec.LookPath("objdump"); err != nil {
		t.Skip("objdump (binutils) is not installed")
	}
	files := []string{"/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6"}
	if extra := os.Getenv("LPATCH_INSN_FILES"); extra != "" {
		files = strings.Fields(extra)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) { compareFile(t, file) })
	}
}

func compareFile(t *testing.T, file string) {
	cmd := exec.Command("objdump", "-d", "-w", "--insn-width=16", "-j", ".text", file)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("objdump %s: %v", file, err)
	}
	bad, total := 0, 0
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.Split(sc.Text(), "\t")
		if len(f) < 3 || strings.Contains(f[2], "(bad)") {
			continue
		}
		code, err := hex.DecodeString(strings.ReplaceAll(f[1], " ", ""))
		if err != nil {
			continue
		}
		total++
		// followed by more code, because the decoder must not depend on the end of the buffer
		in, err := Arch{}.Decode(append(append([]byte{}, code...), make([]byte, 16)...))
		if msg := mismatch(in, err, code, f[0], f[2]); msg != "" {
			if bad++; bad <= 25 {
				t.Errorf("%s % x %s: %s", f[0], code, f[2], msg)
			}
		}
	}
	if total == 0 {
		t.Errorf("objdump showed no instruction")
	}
	t.Logf("%d instructions, %d differ", total, bad)
}

func mismatch(in arch.Insn, err error, code []byte, addr, text string) string {
	if err != nil {
		return err.Error()
	}
	if in.Len != len(code) {
		return "length " + strconv.Itoa(in.Len)
	}
	if !in.IsBranch() {
		return ""
	}
	pc, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(addr), ":"), 16, 64)
	if err != nil {
		return ""
	}
	if want := strconv.FormatUint(pc+uint64(in.Len)+uint64(in.Disp(code)), 16); !strings.Contains(text, want) {
		return "target " + want
	}
	return ""
}
