#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define A "inner: "
#define B ""
#else
#define A ""
#define B "inner: "
#endif
__asm__(".pushsection .text.outer,\"ax\",@progbits\n.globl outer\n.type outer,@function\nouter: xorl %eax,%eax\n" A "incl %eax\n" B "incl %eax\nret\n.size outer,.-outer\n.popsection");
int outer(void);
__attribute__((noinline)) int go(void) { int r; __asm__ volatile("movl $10,%%eax\ncall inner\nmovl %%eax,%0" : "=r"(r) : : "rax"); return r; }
int main(void) { lp_apply(); printf("%d %d\n", go(), outer()); return 0; }
