#include <stdio.h>
#include <string.h>
void lp_apply(void);
static char buf[64];
#ifdef NEW
#define M int b, a;
#define K 7
#else
#define M int a, b;
#define K 6
#endif
__attribute__((noinline)) void set(void){ struct { M } *p = (void*)buf; p->a = 1; p->b = 2; }
__attribute__((noinline)) void show(void){ struct { M } *p = (void*)buf; printf("%d %d %d\n", p->a, p->b, K); }
int main(void){ set(); lp_apply(); show(); return 0; }
