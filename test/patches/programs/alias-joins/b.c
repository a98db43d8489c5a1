#include <stdio.h>
void lp_apply(void);
extern int x, y;
#ifdef NEW
#define K 7
#else
#define K 6
#endif
__attribute__((noinline)) void set(void){ x=1; y=2; }
__attribute__((noinline)) int get(void){ return x; }
__attribute__((noinline)) void show(void){ printf("%d %d\n", get(), K); }
int main(void){ lp_apply(); set(); show(); return 0; }
