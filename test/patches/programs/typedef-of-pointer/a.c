#include <stdio.h>
void lp_apply(void);
static char buf[64];
#ifdef NEW
typedef struct { int b, a; } *P;
#define K 7
#else
typedef struct { int a, b; } *P;
#define K 6
#endif
void *gp = buf;
__attribute__((noinline)) void set(void){ P p = gp; p->a = 1; p->b = 2; }
__attribute__((noinline)) void show(void){ P p = gp; printf("%d %d %d\n", p->a, p->b, K); }
int main(void){ set(); lp_apply(); show(); return 0; }
