#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
struct I { virtual long run() = 0; long n = 0; };
I *kept;
NI I *make(int k) {
#ifdef NEW
	if (k == 2) { struct L : I { long run() override { return n += 100; } }; return new L; }
#endif
	if (k == 1) { struct L : I { long run() override { return n += 1; } }; return new L; }
	return nullptr;
}
int main() { kept = make(1); kept->run(); lp_apply(); long a = kept->run(); I *i = make(2); printf("%ld %ld\n", a, i ? i->run() : 0); }
