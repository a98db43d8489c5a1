/* The first fix brings a static variable of a function in front of another one's of the same name, so that compilers number them
 * otherwise; all keep what they hold. */
#include <stdio.h>
void lp_apply(void);
__attribute__((noinline)) static int one(int n)
{
	printf("one ");
#ifdef FIX1
	static int count = 1000;
	count += n;
	n += count;
#endif
#ifdef FIX2
	n += count * 100000;
#endif
	return n;
}
__attribute__((noinline)) static int two(int n)
{
	static int count = 20;
	count += n;
#ifdef FIX2
	return n + count * 3;
#else
	return n + count;
#endif
}
__attribute__((noinline)) static int three(int n)
{
	static int count = 300;
	count += n;
	return n + count;
}
static int four(int n)
{
	static int count = 4000;
	return count += n;
}
__attribute__((noinline)) static int five(int n)
{
	printf("five ");
#ifdef FIX2
	n += four(n) + 1;
#endif
	return n;
}
__attribute__((noinline)) void all(int n)
{
	printf("%d %d %d %d %d\n", one(n), two(n), three(n), four(n), five(n));
}
void (*volatile each)(int) = all;
int main(int argc, char **argv)
{
	lp_apply();
	for (int i = 0; i < 3; i++)
		each(argc);
	return 0;
}
