#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
extern const int limit;
#else
extern const int limit; const int limit = 10;
#endif
int other(int x);
int main(void) { lp_apply(); printf("%d\n", other(1)); return 0; }
