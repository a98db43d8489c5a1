#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
#include <functional>
std::function<long(long)> kept[2];
NI void set(int i, std::function<long(long)> f) { if (!kept[i]) kept[i] = f; }
NI void make() {
#ifdef NEW
	set(1, [](long x) -> long { return x * 30 + 1; });
	set(0, [](long x) -> long { return x + 8; });
#else
	set(0, [](long x) -> long { return x + 7; });
	set(1, [](long x) -> long { return x * 30; });
#endif
}
int main() { make(); kept[0](1); kept[1](1); lp_apply(); printf("%ld\n", kept[0](5)); printf("%ld\n", kept[1](5)); }
