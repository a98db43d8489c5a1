#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
extern "C" void lp_apply(void);
NI int base() { return atoi("5"); }
#ifdef NEW
thread_local int value = base() + 100;
#else
thread_local int value = base() + 1;
#endif
NI int get() { asm volatile(""); return value; }
int main() { get(); lp_apply(); printf("%d\n", get()); }
