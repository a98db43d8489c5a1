#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define K "7"
#else
#define K "6"
#endif
__asm__(".pushsection .text.outer,\"ax\",@progbits\n.globl outer\n.type outer,@function\nouter: movl $100,%eax\naddl $1,%eax\nnopw 8(%rax)\n.Lin: addl $" K ",%eax\nret\n.size outer,.-outer\n.popsection");
__asm__(".pushsection .text.other,\"ax\",@progbits\n.globl other\n.type other,@function\nother: movl $200,%eax\njmp .Lin\n.size other,.-other\n.popsection");
int outer(void), other(void);
int main(void) { lp_apply(); printf("%d %d\n", other(), outer()); return 0; }
