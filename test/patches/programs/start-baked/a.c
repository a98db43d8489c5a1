#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
int limit = 1;
__attribute__((constructor)) static void start(void) {
	__asm__ volatile("" : "+m"(limit));
#ifdef NEW
	limit = 20;
#else
	limit = 10;
#endif
}
int main(void) { printf("%d\n", limit); return 0; }
