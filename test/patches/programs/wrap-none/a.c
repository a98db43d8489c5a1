#include <stdio.h>
void note(const char *s);
void __wrap_note(const char *s);
__attribute__((noinline)) void work(int i)
{
	printf("work %d %d %d\n", i, i * 3, i ^ 9);
#ifdef NEW
	note("work done");
#endif
}
int main(int argc, char **argv) { __wrap_note("start"); work(argc); return 0; }
