package closedworld

import "strings"

const mainC = `#include <stdio.h>
#include <string.h>
static int count;
__thread int tv = 3; static __thread int ts;
double k(double x) { return x * 3.5 + (x > 2 ? 1.25 : 7.75); }
static const char *tab[] = {"one", "two", "three"};
int sw(int c) {
	switch (c) {
	case 0: return puts("x");
	case 1: return count++;
	case 2: return 7;
	case 3: return tv++;
	case 4: return ts += 9;
	case 5: return puts("yy");
	case 6: return puts(__func__);
	}
	return 0;
}
static int helper(int a, char **v) { return a > 10 ? puts(v[0]) : a * 3; }
int (*hook)(int, char **) = helper;
int run(int c, char **v) { static int n; n += c; return hook(c, v) + n + (int)strlen(v[0]); }
int main(int c, char **v) { printf("hello %d %s %d\n", sw(c), tab[c % 3], run(c, v)); return (int)k(c); }
`

func edited(text string, edits ...string) string {
	out := strings.NewReplacer(edits...).Replace(text)
	if out == text {
		panic("no edit in " + text)
	}
	return out
}

var imageCases = []imageCase{
	{name: "nothing", files: map[string]string{"a.c": mainC}},
	{name: "a function that the patch has", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "a > 10", "a > 1000000", "return 7", "return puts(\"a longer one\")")}, carried: "helper sw"},
	{name: "a function that it has not", files: map[string]string{"a.c": mainC}, newFiles: map[string]string{"a.c": edited(mainC, "a > 10", "a > 100")},
		want: []string{"same .text helper "}},
}
