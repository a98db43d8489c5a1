#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define BY 100
#else
#define BY 1
#endif
__attribute__((noinline)) int step(int i)
{
	static void *const tab[] = { &&first, &&second };
	static void *state = &&first;
	goto *state;
first:
	state = tab[i & 1];
	return i + BY;
second:
	state = tab[i & 1];
	return i + 2 * BY;
}
int main(void) { step(1); lp_apply(); printf("%d\n", step(3)); return 0; }
