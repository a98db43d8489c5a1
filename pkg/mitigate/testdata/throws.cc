// Throws through functions, and out of them, before and after lpload.c applies a patch to this process.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

extern "C" void lp_apply();
extern "C" unsigned char *lp_base();

#define FN __attribute__((noipa, used))

static int alive;
struct Guard { Guard() { alive++; } ~Guard() { alive--; } };

FN void thrower(int x) { if (x & 1) throw x; }
FN void twice(int x) { thrower(x); thrower(x + 1); }          // begins with a call, or nearly
FN int catches(int x) { try { twice(x); } catch (int n) { return n; } return -1; }
FN int cleans(int x) { Guard g; twice(x); return alive; }
FN void first();
FN int catches_first() { try { first(); } catch (const char *s) { return s[0]; } return 0; }
FN void first() { throw "first"; }
template <class T> FN T twofold(T x) { return x + x; }
template <class T> FN T *at(T *x) { return x + 1; }
template <class T> FN std::basic_string<T> text(T x) { return std::basic_string<T>(3, x); }
template <class T> FN int T::*member(T x) { return x.n ? &T::n : nullptr; }
struct S { int n; FN S(int n) : n(n) {} FN int get() const { return n; } FN int &ref() { return n; } FN operator bool() const { return n; } };

static void round_of()
{
	for (int i = 0; i < 4; i++) {
		printf("catches %d\n", catches(i));
		try { printf("cleans %d\n", cleans(i)); } catch (int n) { printf("caught %d alive %d\n", n, alive); }
	}
	printf("first %d\n", catches_first());
	int a[] = {1, 2};
	S s(4);
	printf("%d %g %d %s %d %d %d %d\n", twofold(3), twofold(1.5), *at(a), text('x').c_str(), s.get(), s.ref(), (bool)s, s.*member(s));
}

int main()
{
	round_of();
	lp_apply();
	puts("after");
	round_of();
	if (const char *hits = getenv("HITS"))
		printf("hits %lu\n", *(unsigned long *)(lp_base() + strtoul(hits, nullptr, 0)));
}
