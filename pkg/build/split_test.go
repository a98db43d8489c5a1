package build

import (
	"os"
	"testing"
)

func TestSplitFile(t *testing.T) {
	in := os.Getenv("SPLIT_IN")
	if in == "" {
		t.Skip()
	}
	data, _ := os.ReadFile(in)
	out, err := splitSections(data)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(os.Getenv("SPLIT_OUT"), out, 0o644)
}
