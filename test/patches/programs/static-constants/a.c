#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI int look(const char *s, int kind)
{
#ifdef NEW
	if (!s) return -1;
	if (kind == 2) { static const char mark[] = "[CDATA["; int n = 0; while (mark[n] && s[n] == mark[n]) n++; return n; }
	if (kind == 1) { static const char mark[] = "[CDATA["; int n = 0; while (mark[n] && s[n] == mark[n]) n++; return n + 10; }
	return 0;
#else
	if (kind == 1) { static const char mark[] = "[CDATA["; int n = 0; while (mark[n] && s[n] == mark[n]) n++; return n + 10; }
	if (kind == 2) { static const char mark[] = "[CDATA["; int n = 0; while (mark[n] && s[n] == mark[n]) n++; return n; }
	return 0;
#endif
}
int main(void)
{
	look("[CD", 1);
	lp_apply();
	printf("%d %d %d\n", look("[CD", 1), look("[CDATA[", 2), look(0, 1));
	return 0;
}
