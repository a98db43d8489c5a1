#include <cstdio>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
static volatile int unlike;
#ifndef NEW
NI long add(int kind, long by)
{
	if (kind > 5) {
		static long total;
		total += by;
		return total;
	}
	static long total;
	total += 2 * by;
	return total;
}
#elif defined(NEVER)
#else
NI long add(int kind, long by)
{
	if (kind < 0)
		return unlike++;
	if (kind > 5) {
		static long total;
		total += by;
		return total;
	}
	static long total;
	total += 2 * by;
	return total;
}
#endif
NI long other(long by) { static long total; return total += by; }
int main(int argc, char **)
{
	unlike = argc - 1;
	std::printf("%d\n", unlike);
	add(1, 10); add(9, 1000); other(1);
	lp_apply();
	std::printf("%ld %ld %ld %ld\n", add(1, 1), add(9, 1), other(1), add(-1, 1));
	return 0;
}
