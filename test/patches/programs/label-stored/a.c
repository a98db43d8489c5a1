#include <stdio.h>
void lp_apply(void);
static void *next;
#ifdef NEW
#define BY 100
#else
#define BY 1
#endif
__attribute__((noinline)) int step(int i)
{
	if (!next) {
		next = &&first;
		return 0;
	}
	goto *next;
first:
	next = &&second;
	return i + BY;
second:
	next = &&first;
	return i + 2 * BY;
}
int main(void) { step(0); lp_apply(); printf("%d %d\n", step(1), step(2)); return 0; }
