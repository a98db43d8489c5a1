// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

// machines contains the common names of the processors in ELF headers.
var machines = map[elf.Machine]string{
	elf.EM_386: "32-bit x86", elf.EM_ARM: "32-bit ARM", elf.EM_AARCH64: "64-bit ARM (aarch64)", elf.EM_RISCV: "RISC-V",
	elf.EM_PPC: "32-bit PowerPC", elf.EM_PPC64: "64-bit PowerPC", elf.EM_S390: "s390", elf.EM_MIPS: "MIPS",
	elf.EM_LOONGARCH: "LoongArch", elf.EM_SPARC: "SPARC", elf.EM_SPARCV9: "SPARC", elf.EM_BPF: "BPF",
}

var types = map[elf.Type]string{
	elf.ET_REL: "an object file", elf.ET_EXEC: "a program", elf.ET_DYN: "a program or shared object", elf.ET_CORE: "a core file",
}

// magics contains the magic numbers of other file types that are passed instead of ELF files.
var magics = []struct{ begin, what string }{
	{"MZ", "it is a program for Windows or UEFI (PE)"},
	{"!<arch>\n", "it is an archive of objects"},
	{"!<thin>\n", "it is an archive of objects"},
	{"BC\xc0\xde", "it is LLVM bitcode"},
	{"/* GNU ld script", "it is a script of the linker; name the library that is in it"},
	{"\xcf\xfa\xed\xfe", "it is a program for macOS (Mach-O)"},
	{"\x1f\x8b", "it is compressed; unpack it"},
	{"\xfd7zXZ", "it is compressed; unpack it"},
	{"\x28\xb5\x2f\xfd", "it is compressed; unpack it"},
}

// Foreign describes an ELF file that is not for 64-bit x86-64, as in "a program for 32-bit x86". It returns "" for other
// files, including those that are not ELF files. It only uses the first 20 bytes, which have the same layout in every ELF
// class.
func Foreign(data []byte) string {
	if len(data) < 20 || string(data[:4]) != elf.ELFMAG {
		return ""
	}
	order := binary.ByteOrder(binary.LittleEndian)
	class, big := elf.Class(data[elf.EI_CLASS]), elf.Data(data[elf.EI_DATA]) == elf.ELFDATA2MSB
	if big {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(data[18:]))
	name := machines[machine]
	switch {
	case machine == elf.EM_X86_64 && class == elf.ELFCLASS32:
		name = "x32 (x86-64 with 32-bit pointers)"
	case machine == elf.EM_X86_64 && !big: // or of an invalid class, which is detected later
		return ""
	case name == "":
		name = fmt.Sprintf("the machine %v", machine)
	}
	if big {
		name += ", big endian"
	}
	return typeName(elf.Type(order.Uint16(data[16:]))) + " for " + name
}

// Kind describes the type of the file, as in "an object file".
func (f *File) Kind() string { return typeName(f.Type) }

// CheckObject returns an error if the file is not a relocatable object file.
func (f *File) CheckObject() error {
	if f.Type != elf.ET_REL {
		return fmt.Errorf("%s: %s, not an object file; give the .o files of the build", f.Path, f.Kind())
	}
	return nil
}

func typeName(t elf.Type) string {
	if name := types[t]; name != "" {
		return name
	}
	return fmt.Sprintf("an ELF file of type %v", t)
}

// notELF returns the error for a file that is not an ELF file, with its type if that is easily recognized.
func notELF(name string, data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("%s: %w: it is empty", name, ErrNotELF)
	}
	if line, ok := bytes.CutPrefix(data[:min(len(data), 256)], []byte("#!")); ok {
		interpreter, _, _ := strings.Cut(strings.TrimSpace(string(line)), "\n")
		if bytes.Contains(data, []byte("libtool")) {
			return fmt.Errorf("%s: %w: it is a script of libtool, which starts the program in .libs; name that one", name, ErrNotELF)
		}
		return fmt.Errorf("%s: %w: it is a script for %s; name the program that runs", name, ErrNotELF, interpreter)
	}
	for _, m := range magics {
		if bytes.HasPrefix(data, []byte(m.begin)) {
			return fmt.Errorf("%s: %w: %s", name, ErrNotELF, m.what)
		}
	}
	return fmt.Errorf("%s: %w", name, ErrNotELF)
}
