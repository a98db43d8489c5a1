#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
NI long work(int k) {
#ifndef NEW
	if (k == 1) { struct L { NI static long run() { static long n; return n += 1; } }; return L::run(); }
	if (k == 2) { struct L { NI static long run() { static long n; return n += 100; } }; return L::run(); }
#else
	if (k == 2) { struct L { NI static long run() { static long n; return n += 100; } }; return L::run(); }
	if (k == 1) { struct L { NI static long run() { static long n; return n += 1; } }; return L::run(); }
#endif
	return 0;
}
int main() { work(1); work(2); lp_apply(); long a = work(1), b = work(2); printf("%ld %ld\n", a, b); }
