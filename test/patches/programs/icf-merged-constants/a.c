#include <stdio.h>
/* Both change, each in another way. */
struct limit { long low, high; };
#ifdef NEW
static const struct limit in[4] = { { 1, 20 }, { 2, 30 }, { 3, 40 }, { 4, 50 } };
static const struct limit out[4] = { { 1, 20 }, { 2, 33 }, { 3, 44 }, { 4, 55 } };
#else
static const struct limit in[4] = { { 1, 10 }, { 2, 30 }, { 3, 40 }, { 4, 50 } };
static const struct limit out[4] = { { 1, 10 }, { 2, 30 }, { 3, 40 }, { 4, 50 } };
#endif
__attribute__((noinline)) long a(int i) { return in[i & 3].high - in[i & 3].low; }
__attribute__((noinline)) long b(int i) { return out[i & 3].high + out[i & 3].low; }
int main(int argc, char **argv) { printf("%ld %ld %ld\n", a(argc - 1), b(argc - 1), b(argc)); return 0; }
