#include <stdio.h>
#include <stdlib.h>
extern void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
#define FIRST "2"
#define SECOND "1"
#else
#define FIRST "1"
#define SECOND "2"
#endif
/* Two counters in one unnamed place each: the new source declares them the other way round. */
__asm__(".data\n.set .Lc1, .\n.quad 0\n.set .Lc2, .\n.quad 0\n.text");
NI long one(void) { long v; __asm__ volatile("incq .Lc" FIRST "(%%rip)\n\tmovq .Lc" FIRST "(%%rip), %0" : "=r"(v)); return v; }
NI long two(void) { long v; __asm__ volatile("addq $10, .Lc" SECOND "(%%rip)\n\tmovq .Lc" SECOND "(%%rip), %0" : "=r"(v)); return v; }
int main() { one(); one(); two(); lp_apply(); printf("%ld %ld\n", one(), two()); }
