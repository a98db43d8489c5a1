#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
#define P long by
#define A 10
#else
#define P
#define by 1
#define A
#endif
struct T { NI long next(P) { static long n = 5; return n += by; } };
template <class X> NI long make(P) { static long n = sizeof(X); return n += by; }
NI long use() { T t; return t.next(A) * 1000 + make<int>(A); }
int main() { for (int i = 0; i < 10; i++) use(); lp_apply(); printf("%ld\n", use()); }
