// SPDX-License-Identifier: GPL-2.0

package linenumbers

import "testing"

func TestKeepRust(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"added", "fn a() {\n}\nfn b() {}\n", "fn a() {\n    x();\n    y(); // why\n}\nfn b() {}\n", "fn a() { x(); y(); \n}\nfn b() {}\n"},
		{"removed", "fn a() {\n    x();\n    y();\n}\nfn b() {}\n", "fn a() {\n    z();\n}\nfn b() {}\n", "fn a() {\n    z();\n\n}\nfn b() {}\n"},
		{"replaced by more", "fn a() {\n    x();\n}\nfn b() {}\n", "fn a() {\n    if z {\n        x();\n    }\n}\nfn b() {}\n", "fn a() {\n    if z { x(); }\n}\nfn b() {}\n"},
		{"comment in front", "// why\nfn a() {}\n", "// why\nfn z() {}\nfn a() {}\n", " fn z() {}\nfn a() {}\n"},
		{"address in a string", "let u = \"http://x\";\nb();\n", "let u = \"http://x\";\na();\nb();\n", "let u = \"http://x\"; a();\nb();\n"},
		{"characters and lifetimes", "f::<'a>('\"', '\\'', b'/');\nb();\n", "f::<'a>('\"', '\\'', b'/');\na();\nb();\n", "f::<'a>('\"', '\\'', b'/'); a();\nb();\n"},
		{"raw string", "let s = r#\"\n\"//\n\"#;\nb();\n", "let s = r#\"\n\"//\n\"#;\na();\nb();\n", "let s = r#\"\n\"//\n\"#; a();\nb();\n"},
		{"in a string", "let s = \"a\n c\";\n", "let s = \"a\n b\n c\";\n", "let s = \"a\n b\n c\";\n"},
		{"out of a string", "let s = \"a\n b\n c\";\n", "let s = \"a\n c\";\n", "let s = \"a\n c\";\n"},
		{"documentation", "fn a() {}\nfn b() {}\n", "fn a() {}\n/// what c does\nfn c() {}\nfn b() {}\n", "fn a() {}\n/// what c does\nfn c() {}\nfn b() {}\n"},
		{"nested comment", "a(); /* /* */ x\n*/\nb();\n", "a(); /* /* */ x\n*/\nc();\nb();\n", "a(); /* /* */ x\n*/ c();\nb();\n"},
		{"at the start", "b();\n", "a();\nb();\n", "a();\nb();\n"},
	} {
		if got := string(KeepRust([]byte(c.old), []byte(c.new))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
