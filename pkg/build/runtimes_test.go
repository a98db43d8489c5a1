// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRuntimes checks targets of kinds that cannot be patched.
func TestRuntimes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	compile := func(name, text string, args ...string) string {
		out := filepath.Join(dir, name)
		cmd := exec.Command("gcc", append([]string{"-o", out, write(name+".c", text)}, args...)...)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return out
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	library := compile("libjli.so", "int JLI_Launch(void) { return 0; }", "-shared", "-fPIC", "-Wl,-soname,libjli.so")
	for _, c := range []struct{ name, path, want string }{
		{"Go", self, goText},
		{"class", write("A.class", "\xca\xfe\xba\xbe\x00\x00\x00\x41"), javaText},
		{"jar", write("a.jar", "PK\x03\x04"), javaText},
		{"zip", write("a.zip", "PK\x03\x04"), ""},
		{"java", compile("java", "int JLI_Launch(void); int main(void) { return JLI_Launch(); }", library), jvmText},
		{"native image", compile("native", `int heap[4] __attribute__((section(".svm_heap"))) = { 1 }; int main(void) { return 0; }`), svmText},
		{"C", compile("plain", "int main(void) { return 0; }"), ""},
	} {
		err := CheckRuntime(c.path)
		want := ""
		if c.want != "" {
			want = c.path + ": " + c.want + " [not-supported]"
		}
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}
