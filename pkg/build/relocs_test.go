// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestRelocations uses relocations in new code that compilers rarely or never emit, and expects a patch, or a refusal that
// names the relocation or its code model.
func TestRelocations(t *testing.T) {
	asm := func(text string) string {
		return fmt.Sprintf("extern int variable; extern __thread int thread; int helper(int); int f(int x) { long r = 0; __asm__ volatile (%q : \"+r\"(r) :: \"rax\", \"rdi\", \"memory\"); return r + x; }\n", text)
	}
	tests := []struct {
		name, flag, code, want string
	}{
		{"R_X86_64_64 in code", "-fPIE", asm("movabs $variable, %0"), "f"},
		{"R_X86_64_PC64 within the patch", "-fPIE", asm("lea 1f(%%rip), %0; .pushsection .data.new,\"aw\"; .type new,@object; .size new,8; new: .quad 5; .popsection; .pushsection .rodata.new,\"a\"; 1: .quad new - .; .popsection"), "f"},
		{"R_X86_64_PC64 to the target", "-fPIE", asm("lea 1f(%%rip), %0; .pushsection .rodata.new,\"a\"; 1: .quad variable - .; .popsection"), "unsupported-relocation: .rodata.new: the new code has a 64-bit PC-relative reference"},
		{"R_X86_64_SIZE32", "-fPIE", asm("mov $variable@SIZE, %k0"), "f"},
		{"R_X86_64_SIZE64", "-fPIE", asm("movabs $variable@SIZE, %0"), "f"},
		{"R_X86_64_SIZE32 of an import", "-fPIE", asm("mov $environ@SIZE, %k0"), "unsupported-relocation: environ: the new code needs the size"},
		{"R_X86_64_GOTOFF64", "-fPIE", asm("movabs $variable@GOTOFF, %0"), "unsupported-relocation: .text.f: the new code needs relocation R_X86_64_GOTOFF64"},
		{"R_X86_64_GOTPC32", "-fPIE", asm("lea _GLOBAL_OFFSET_TABLE_(%%rip), %0"), "unsupported-relocation: _GLOBAL_OFFSET_TABLE_: code of the medium or large model"},
		{"R_X86_64_GOT64", "-fPIE", asm("movabs $variable@GOT, %0"), "unsupported-relocation: .text.f: the new code needs relocation R_X86_64_GOT64"},
		{"R_X86_64_PLTOFF64", "-fPIE", asm("movabs $helper@PLTOFF, %0"), "unsupported-relocation: .text.f: the new code needs relocation R_X86_64_PLTOFF64"},
		{"R_X86_64_16", "-fPIE", asm("mov $variable, %w0"), "unsupported-relocation: .text.f: the new code needs relocation R_X86_64_16"},
		{"R_X86_64_8", "-fPIE", asm("mov $variable, %%al"), "unsupported-relocation: .text.f: the new code needs relocation R_X86_64_8"},
		{"R_X86_64_PC16", "-fPIE", asm("lea 1f(%%rip), %0; .pushsection .rodata.new,\"a\"; 1: .word variable - .; .popsection"), "unsupported-relocation: .rodata.new: the new code needs relocation R_X86_64_PC16"},
		{"R_X86_64_32S in a PIE", "-fPIE", asm("mov $variable, %0"), "absolute-code: .text.f: the new object has absolute 32-bit addresses"},
		{"thread-local by descriptors", "-mtls-dialect=gnu2 -fPIC", "extern __thread int thread; int f(int x) { return x + thread * 3; }\n", "f"},
		{"large model", "-mcmodel=large", "extern int variable; int f(int x) { return x + variable * 5; }\n", "unsupported-relocation: _GLOBAL_OFFSET_TABLE_: code of the medium or large model"},
		{"medium model without large data", "-mcmodel=medium", "extern int variable; int f(int x) { return x + variable * 5; }\n", "f"},
		{"medium model", "-mcmodel=medium -mlarge-data-threshold=64", "static int table[100]; int f(int x) { return x + table[x & 63]++; }\n", "large-data: table: "},
	}
	const main = "#include <stdio.h>\nint f(int); int variable = 4; __thread int thread = 5; int helper(int x) { return x; } int main(int argc, char **argv) { return f(argc) + thread + !stdin; }\n"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := map[string]string{"main.c": main, "f.c": "int f(int x) { return x * 3 + x / 7; }\n"}
			p := newProject(t, old, map[string]string{"main.c": main, "f.c": tt.code}, strings.Fields(tt.flag)...)
			res, err := p.build(p.target, "")
			if err == nil {
				if got := short(res, nil); got != tt.want {
					t.Errorf("built: %s, want %s", got, tt.want)
				}
				return
			}
			if !strings.Contains("\n"+reasons(err), "\n"+tt.want) {
				t.Errorf("%s\nwant %s", reasons(err), tt.want)
			}
		})
	}
}

// reasons formats the refusals as "code: symbol: text".
func reasons(err error) string {
	var refusals Refusals
	if !errors.As(err, &refusals) {
		return err.Error()
	}
	var lines []string
	for _, r := range refusals {
		lines = append(lines, string(r.Code)+": "+r.Symbol+": "+r.Text)
	}
	return strings.Join(lines, "\n")
}
