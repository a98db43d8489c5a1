#include <stdio.h>
#include <stdint.h>
void lp_apply(void);
#ifdef CODE
#define CODEALIGN aligned(8192),
#else
#define CODEALIGN
#endif
#ifdef NEW
#ifdef COMMON
int pool[4] __attribute__((aligned(32768)));
#elif defined(CONST)
static const volatile int pool[4] __attribute__((aligned(65536))) = { 1, 2, 3, 4 };
#elif defined(ADDED)
__attribute__((noinline, aligned(16384))) void pool(void) { puts("x"); }
#endif
#endif
__attribute__((CODEALIGN noinline)) int work(int i)
{
#ifdef NEW
#ifdef CODE
	return ((uintptr_t)work % 8192 == 0) + i * 5;
#else
#if !defined(COMMON) && !defined(CONST) && !defined(ADDED)
	static volatile int pool[4] __attribute__((aligned(8192)));
	pool[i & 3] = i;
#endif
	uintptr_t p = (uintptr_t)pool;
	__asm__("" : "+r"(p));
	return p % 8192 == 0;
#endif
#else
	return i * 3 + (i & 7) + printf("old %d\n", i);
#endif
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", work(argc + 100));
	return 0;
}
