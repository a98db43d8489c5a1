#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
#include <functional>
std::function<long(long)> kept, other;
NI void early() {
#ifdef NEW
	other = [](long x) -> long { return x * 3; };
#endif
}
NI void make() {
#ifdef NEW
	kept = [](long x) -> long { return x < 0 ? 0 : x + 7; };
#else
	kept = [](long x) -> long { return x + 7; };
#endif
}
int main() { early(); make(); lp_apply(); early(); printf("%ld\n", kept(-20)); }
