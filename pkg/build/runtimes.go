// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// Some runtime systems have tables of all functions, or generate code at run time. Jumps at function entries violate their
// assumptions.

const (
	goText = "it is a program in Go, whose run time finds the frames, pointers and stack growth of each function in tables that a patch cannot add to (.gopclntab); " +
		"build and restart it, or patch the libraries in C that it loads"
	javaText = "what it runs is Java's bytecode, which the virtual machine compiles and moves as it runs, so there is no code in a file to compare; redefine the classes (java.lang.instrument), or restart it"
	jvmText  = "it runs Java's bytecode, which it compiles and moves as it runs, and the classes are in no object; redefine them (java.lang.instrument), or restart it. A fix of the virtual machine itself is one for the file that has the changed code"
	svmText  = "it is a native image of GraalVM, whose run time finds the frames and references of each method in tables of its own; build it again and restart it"
)

// CheckRuntime refuses a target of a kind that cannot be patched.
func CheckRuntime(path string) error {
	why := runtimeOf(path)
	if why == "" {
		return nil
	}
	return Refusals{diff.Refusal{Code: codes.NotSupported, File: path, Text: why}}
}

func runtimeOf(path string) string {
	if isBytecode(path) {
		return javaText
	}
	f, err := lpelf.Open(path)
	if err != nil {
		return "" // reported where the file is read
	}
	for _, s := range f.Sections {
		switch {
		case s.Name == ".go.buildinfo" || s.Name == ".note.go.buildid" || s.Name == ".gopclntab" || s.Name == ".data.rel.ro.gopclntab":
			return goText
		case s.Name == ".svm_heap":
			return svmText
		}
	}
	if filepath.Base(path) == "java" && slices.ContainsFunc(f.Needed(), func(n string) bool { return strings.HasPrefix(n, "libjli.so") }) {
		return jvmText
	}
	return ""
}

// isBytecode reports whether a file is a Java class or an archive with a name typical of Java.
func isBytecode(path string) bool {
	head, err := firstBytes(path)
	if err != nil {
		return false
	}
	archive := bytes.HasPrefix(head, []byte("PK\x03\x04")) && slices.Contains([]string{".jar", ".war", ".ear", ".jmod"}, filepath.Ext(path))
	return archive || bytes.HasPrefix(head, []byte{0xca, 0xfe, 0xba, 0xbe})
}
