#include <stdio.h>
void lp_apply(void);
enum { INIT,
#ifdef NEW
 AUTH,
#endif
 RUN };
int state;
__attribute__((noinline)) void start(void){ state = RUN; }
__attribute__((noinline)) void show(void){ printf("%s\n", state == RUN ? "run" : "not"); }
int main(void){ start(); lp_apply(); show(); return 0; }
