#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define BY 100
#else
#define BY 1
#endif
int (*volatile fn)(int);
static int ident(int a) { return a; }
__attribute__((noinline)) int run(const unsigned char *ops, int a, int b, int c)
{
	static void *const labels[] = { &&inc, &&dbl, &&out, &&sub, &&sw };
	int acc = 0;
	goto *labels[*ops++];
inc: acc += BY; goto *labels[*ops++];
dbl: acc *= 2; printf("%d\n", acc); goto *labels[*ops++];
sub:
	acc -= a * b * c;
	for (int i = 0; i < a; i++)
		acc += fn(i) * b + c;
	goto *labels[*ops++];
sw:
	switch (acc & 7) {
	case 0: acc += 3; break;
	case 1: acc *= 5; break;
	case 2: acc -= 9; break;
	case 3: printf("x\n"); break;
	case 4: acc ^= 0x55; break;
	case 5: acc = fn(acc); break;
	}
	goto *labels[*ops++];
out: return acc;
}
int main(void)
{
	static const unsigned char first[] = { 2 }, p[] = { 0, 1, 0, 3, 1, 4, 2 };
	fn = ident;
	run(first, 1, 2, 3);
	lp_apply();
	printf("%d\n", run(p, 3, 4, 5));
	return 0;
}
