#include <iostream>
#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
extern "C" void lp_apply(void);
#ifdef NEW
NI int check(int x) { asm volatile(""); return x > 3 ? 3 : x; }
NI int get(int x) { asm volatile(""); return check(x) + 1; }
#else
NI int get(int x) { asm volatile(""); return x + 1; }
#endif
int main() { lp_apply(); std::cout << get(10) << "\n"; }
