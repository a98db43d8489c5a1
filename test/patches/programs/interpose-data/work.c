#include <stdio.h>
extern int level, unused_level;
extern void maybe(void) __attribute__((weak)), never(void) __attribute__((weak));
int work(int i)
{
	printf("work %d %d %d\n", i, i * 3, i ^ 5);
#ifdef NEW
	level += 2;
	printf("level %d\n", level);
	if (maybe)
		maybe();
	if (never)
		never();
#ifdef UNUSED
	printf("%d\n", unused_level);
#endif
#endif
	return 0;
}
void other(void)
{
	printf("%d\n", level);
	if (maybe)
		maybe();
	if (never)
		never();
}
