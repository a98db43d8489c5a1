package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBootIsOff(t *testing.T) {
	defer func(path string) { commandLinePath = path }(commandLinePath)
	commandLinePath = filepath.Join(t.TempDir(), "cmdline")
	for line, want := range map[string]bool{
		"quiet ro\n":                          false,
		"quiet lpatch.boot=off ro\n":          true,
		"lpatch.boot=OFF":                     true,
		"lpatch.boot=0":                       true,
		"lpatch.boot=N":                       true,
		"lpatch.boot=on":                      false,
		"lpatch.boot=1":                       false,
		"lpatch.boot=off lpatch.boot=on":      false,
		"lpatch.boot=on lpatch.boot=off":      true,
		"notlpatch.boot=off lpatch.booted=no": false,
	} {
		if err := os.WriteFile(commandLinePath, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := bootIsOff(); err != nil || got != want {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
}
