/* Functions with parts elsewhere, tables of a switch, strings, recursion, inlined functions and clones, before and after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void lp_apply(void);
static inline int add(int n)
{
#ifdef FIX1
	n += 3;
#endif
#ifdef FIX2
	n *= 5;
#endif
	return n;
}
__attribute__((cold, noinline)) static void bad(const char *s) { fprintf(stderr, "%s\n", s); exit(3); }
__attribute__((noinline)) static const char *kind(int n)
{
	switch (n) {
	case 0: return "zero";
	case 1: return "one";
#ifdef FIX1
	case 2: return "two";
#endif
	case 3: return "three";
	case 4: bad("four"); return "";
#ifdef FIX2
	case 5: return "five";
#endif
	case 6: printf("six "); return "6";
	default: return "many";
	}
}
__attribute__((noinline)) static int sum(int n)
{
	if (n < 0) bad("negative");
#ifdef FIX1
	if (n > 100) bad("too many");
#endif
#ifdef FIX2
	if (n == 7) return 1;
#endif
	return n ? add(n) + sum(n - 1) * 3 % 1000 : 0;
}
__attribute__((noinline)) static int other(int n) { return sum(add(n)) + add(n); }
int main(int argc, char **argv)
{
	lp_apply();
	for (int i = 0; i < 9; i++)
		if (i != 4) printf("%s %d %d\n", kind(i * argc), sum(i * argc), other(argc + i));
	return 0;
}
