#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
#include <functional>
std::function<long(long)> kept, other;
NI void early(int n) {
#ifdef NEW
	other = [n](long x) -> long { return x * n; };
#else
	(void)n;
#endif
}
NI void make(int n, int m) {
#ifdef NEW
	kept = [n, m](long x) -> long { return x < 0 ? m : x + n; };
#else
	(void)m;
	kept = [n](long x) -> long { return x + n; };
#endif
}
int main() { early(2); make(7, 8); lp_apply(); early(3); printf("%ld\n", kept(-20)); }
