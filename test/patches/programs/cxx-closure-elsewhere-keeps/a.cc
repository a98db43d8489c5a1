#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
#include <functional>
#include <string>
std::function<long(long)> kept, other;
NI void early(long n) {
#ifdef NEW
	other = [n](long x) -> long { return x * n; };
#else
	other = nullptr;
#endif
}
NI void make(long n) {
	std::string s(n, 'x');
#ifdef NEW
	kept = [s](long x) -> long { return x < 0 ? 0 : x + (long)s.size(); };
#else
	kept = [s](long x) -> long { return x + (long)s.size(); };
#endif
}
int main() { early(2); make(7); lp_apply(); early(3); printf("%ld\n", kept(-20)); std::function<long(long)> copy = kept; make(30); printf("%ld %ld\n", copy(1), kept(1)); }
