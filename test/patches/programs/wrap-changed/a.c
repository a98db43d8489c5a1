#include <stdio.h>
void note(const char *s);
void (*volatile last)(const char *);
__attribute__((noinline)) void work(int i)
{
	note("work");
	printf("work %d\n", i);
#ifdef NEW
	note("work done");
	last = note;
#endif
}
int main(void) { work(1); if (last) last("by address"); return 0; }
