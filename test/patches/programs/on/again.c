/* Both fixes change step(); the second one use(), too, which the first one does not touch. */
#include <stdio.h>
void lp_apply(void);
int table[16] = { 5, 6, 7 };
__attribute__((noinline)) static int step(int a)
{
	int r = a + 1;
#ifdef FIX1
	for (int i = 0; i < a; i++)
		r = r * 31 + table[i & 15] + (r % 7) * (r / 3 + a) + (r << (i & 7)) + table[(r ^ i) & 15];
#endif
#ifdef FIX2
	r += printf("second\n");
#endif
	return r & 0xff;
}
__attribute__((noinline)) int use(int a, int b, int c, int d, int e, int f)
{
	int x = step(a);
#ifdef FIX2
	x += 1000;
#endif
	return x + a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", use(argc + 4, 2, 3, 4, 5, 6));
	return 0;
}
