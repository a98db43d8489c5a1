#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
NI int limit() { return atoi("5"); }
inline NI int next() {
#ifdef NEW
	static int n = limit();
#else
	static int n;
#endif
	return ++n; }
int main() { for (int i = 0; i < 10; i++) next(); { static int one = atoi("1"); if (one != 1) return 1; } lp_apply(); printf("%d\n", next()); }
