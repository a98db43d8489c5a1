#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
extern "C" void lp_apply(void);
NI int base(int x) { return atoi("5") * x; }
template<class T> struct S { static inline int value = base(
#ifdef NEW
 3
#else
 2
#endif
 ); };
NI int get() { asm volatile(""); return S<int>::value; }
int main() { lp_apply(); printf("%d\n", get()); }
