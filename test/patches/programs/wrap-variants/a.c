#include <stdio.h>
void note(const char *s);
void other(void);
__attribute__((noinline)) void work(int i)
{
	printf("work %d\n", i);
#ifdef NEW
	note("work done");
	puts("work done");
#endif
}
int main(void) { other(); work(1); return 0; }
