#include <stdio.h>
void lp_apply(void);
extern int x, y, al;
__attribute__((noinline)) void set(void){ x=1; y=2; }
__attribute__((noinline)) int get(void){ return al; }
int main(void){ lp_apply(); set(); printf("%d\n", get()); return 0; }
