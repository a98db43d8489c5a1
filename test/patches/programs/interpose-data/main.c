#include <stdio.h>
int work(int);
void lp_apply(void);
void other(void);
void maybe(void) { puts("maybe"); }
extern int level, unused_level;
int main(void) { lp_apply(); level = 7; unused_level = 8; other(); work(1); other(); return 0; }
