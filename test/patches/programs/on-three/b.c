/* Has statics of the names of the other source. */
#include <stdio.h>
static int seen = 500;
__attribute__((noinline)) static int help(int n) { printf("b help "); return n + seen++; }
#if V >= 2
static int more = 3;
#endif
int b(int n) { printf("b ");
#if V >= 2
 n = help(n) + more++;
#endif
#if V >= 3
 n += more * help(2);
#endif
 return help(n) + seen; }
