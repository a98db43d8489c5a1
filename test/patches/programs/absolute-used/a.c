__asm__(".globl LIMIT\n.set LIMIT, 4");
int twice(int a) { return 2 * a; }
