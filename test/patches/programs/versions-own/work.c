#include <stdio.h>
void hook(const char *s);
void old_hook(const char *s);
__asm__(".symver old_hook,hook@V1");
int work(int i)
{
	printf("work %d %d %d\n", i, i * 3, i ^ 5);
#ifdef NEW
	hook("work");
	old_hook("work");
#endif
	return 0;
}
#ifdef OTHER
void other(void) { hook("other"); old_hook("other"); }
#else
void other(void) {}
#endif
