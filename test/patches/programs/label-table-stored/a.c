#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define BY 100
#else
#define BY 1
#endif
void *code[8];
__attribute__((noinline)) int run(const unsigned char *ops, int n)
{
	static void *const labels[] = { &&inc, &&dbl, &&out };
	int acc = 0; void **pc;
	if (ops) { for (int i = 0; i < n; i++) code[i] = labels[ops[i]]; return 0; }
	pc = code;
	goto **pc++;
inc: acc += BY; goto **pc++;
dbl: acc *= 2; goto **pc++;
out: return acc;
}
int main(void){ static const unsigned char p[]={0,1,0,2}; run(p,4); lp_apply(); printf("%d\n", run(0,0)); return 0; }
