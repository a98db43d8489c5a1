#include <stdio.h>
void hook(const char *s) { printf("program's hook: %s\n", s); }
void late(const char *s) { printf("program's late: %s\n", s); }
void inner(const char *s) { printf("program's inner: %s\n", s); }
int work(int);
void lp_apply(void);
void other(void);
extern int level;
int main(void) { lp_apply(); level = 7; other(); work(1); return 0; }
