/* The second fix uses a variable and functions that the first one brought, and changes no function that the first one did. */
#include <stdio.h>
#include <string.h>
void lp_apply(void);
#ifdef FIX1
static int calls = 7;
int limit = 40;
__attribute__((noinline)) static const char *name(int n) { printf("%d ", calls++); return n > 2 ? "many" : "few"; }
__attribute__((noinline)) int bounded(int n) { return n > limit ? limit : n; }
#endif
__attribute__((noinline)) void put(int *n, int (*f)(int)) { *n += f(60); }
__attribute__((noinline)) static int first(int n)
{
	printf("first ");
#ifdef FIX1
	printf("%s %d\n", name(n), bounded(n));
#endif
	return n + 1;
}
__attribute__((noinline)) static int second(int n)
{
	printf("second ");
#ifdef FIX2
	limit += 2;
	printf("second %s %d %d\n", name(n), bounded(n), calls);
	put(&calls, bounded);
#endif
	return n + 2;
}
__attribute__((noinline)) static int again(int n)
{
	return first(n) * second(n) + first(n + 50);
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", again(argc));
	printf("%d\n", again(argc + 1));
	return 0;
}
