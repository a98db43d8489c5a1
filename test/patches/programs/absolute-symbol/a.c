#ifdef NEW
__asm__(".globl LIMIT\n.set LIMIT, 9");
#else
__asm__(".globl LIMIT\n.set LIMIT, 4");
#endif
int twice(int a) { return 2 * a; }
