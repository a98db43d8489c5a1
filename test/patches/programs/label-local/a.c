#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define SECOND ""
#define THIRD "tail: "
#else
#define SECOND "tail: "
#define THIRD ""
#endif
__asm__(".pushsection .data.arr,\"aw\",@progbits\n.balign 4\n.globl arr\n.type arr,@object\narr: .long 1\n" SECOND ".long 2\n" THIRD ".long 3\n.size arr,12\n.popsection");
__attribute__((noinline)) int first(void) { int r; __asm__("movl tail(%%rip),%0" : "=r"(r)); return r; }
int main(void) { lp_apply(); printf("%d\n", first()); return 0; }
