#include <stdio.h>

#define LIMIT 11

int last(int a, int b, int c, int d, int e, int f, int limit);

__attribute__((noinline)) int work(int x)
{
	/* the seventh argument is on the stack */
	int r = last(x, x, x, x, x, x, LIMIT);
	return r + 1;
}

__attribute__((noinline)) int last(int a, int b, int c, int d, int e, int f, int limit) { return a + b + c + d + e + f + limit; }
int main(int c, char **v) { printf("%d\n", work(c)); return 0; }
