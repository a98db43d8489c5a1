#include <stdio.h>
#include <string.h>
void lp_apply(void);
#ifdef NEW
#define N 64
#define NS "64"
#else
#define N 16
#define NS "16"
#endif
__asm__(".pushsection .bss.buf,\"aw\",@nobits\n.globl buf\nbuf: .skip " NS "\n.popsection");
int after[16] = {5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5}, zero[64];
extern char buf[];
__attribute__((noinline)) void fill(void){ memset(buf, 1, N); }
int main(void){ lp_apply(); fill(); int bad = 0; for (int i = 0; i < 16; i++) bad += after[i] != 5; for (int i = 0; i < 64; i++) bad += zero[i] != 0; printf("%d\n", bad); return 0; }
