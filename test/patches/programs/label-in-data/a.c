#ifdef NEW
#define SECOND ""
#define THIRD "tail: "
#else
#define SECOND "tail: "
#define THIRD ""
#endif
__asm__(".pushsection .data.arr,\"aw\",@progbits\n.balign 4\n.globl arr, tail\n.type arr,@object\narr: .long 1\n" SECOND ".long 2\n" THIRD ".long 3\n.size arr,12\n.popsection");
int twice(int a) { return 2 * a; }
