#include <stdio.h>
#include <stdint.h>
#include <sys/mman.h>
void lp_apply(void);
#ifdef NEW
#define FL "aw"
#else
#define FL "a"
#endif
__asm__(".pushsection special,\"" FL "\",@progbits\n.globl sp\nsp: .long 4,5,6\n.popsection");
extern int sp[];
__attribute__((noinline)) int writable(void *p){ FILE *f = fopen("/proc/self/maps","r"); char l[512]; unsigned long a,b; char pr[8]; int r=-1; while (fgets(l,512,f)) if (sscanf(l,"%lx-%lx %4s",&a,&b,pr)==3 && (unsigned long)p>=a && (unsigned long)p<b) r = pr[1]=='w'; return r; }
int main(void){ lp_apply(); printf("%d\n", writable(sp)); return 0; }
