#include <stdio.h>
typedef int (*check)(int);
#define CHECK(f) static const check in_##f __attribute__((section("checks"), used)) = f
extern const check __start_checks[], __stop_checks[];
static int even(int x) { return x % 2 == 0; }
CHECK(even);
#ifndef NEW
static int small(int x) { return x < 3; }
CHECK(small);
#endif
__attribute__((noinline)) int count(int x)
{
	int n = 0;
	for (const check *c = __start_checks; c < __stop_checks; c++)
		n += (*c)(x);
	return n;
}
int main(int argc, char **argv) { printf("%d\n", count(argc + 1)); return 0; }
