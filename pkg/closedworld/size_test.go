// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/testutil/filetest"
)

// TestLinear checks that twice the code takes about twice the time.
func TestLinear(t *testing.T) {
	filetest.Slow(t)
	took := func(n int) time.Duration {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "int v%d = %d; __attribute__((noinline)) int f%d(int a) { static int s; s += a; return a > v%d ? f%d(a - 1) + s : %d; }\n", i, i, i, i, max(i-1, 0), i)
		}
		text.WriteString("int main(int c, char **v) { return f0(c); }\n")
		im := makeImage(t, map[string]string{"a.c": text.String()}, nil, "gcc -O1 -w -ffunction-sections -fdata-sections a.c "+keep+" -o T")
		again, err := Read(im.File, "")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if r := Compare(im, again, Carried{}); len(r.Findings) > 0 {
			t.Fatal(findingText(r.Findings[0]))
		}
		return time.Since(began)
	}
	if small, large := took(400), took(1600); large > 12*small+50*time.Millisecond {
		t.Errorf("4 times the code takes %v, and a part of it %v", large, small)
	}
}
