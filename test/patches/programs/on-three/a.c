/* Three fixes, each upon those before it: V is how many of them are in. */
#include <stdio.h>
void lp_apply(void); int b(int);
#if V >= 1
static int seen = 10;
__attribute__((noinline)) static int help(int n) { printf("a help "); return n + ++seen; }
#endif
__attribute__((noinline)) int f(int n) { printf("f "); 
#if V >= 1
 n = help(n);
#endif
#if V >= 3
 n += seen * 1000;
#endif
 return n + 1; }
__attribute__((noinline)) int g(int n) { printf("g ");
#if V >= 2
 n = help(n) + seen;
#endif
#if V >= 3
 n = help(n) * 2;
#endif
 return n + 2; }
int main(int c, char **v) { lp_apply(); for (int i = 0; i < 3; i++) printf("%d\n", f(c) + g(c) + b(c)); return 0; }
