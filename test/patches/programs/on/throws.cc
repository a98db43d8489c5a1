/* Exceptions through functions of both patches. With ADDED, the second fix calls one that only the first patch has. */
#include <cstdio>
#include <stdexcept>
#include <string>
extern "C" void lp_apply(void);
#ifdef FIX1
__attribute__((noinline)) static int helper(int n) { if (n > 5) throw std::runtime_error("helper " + std::to_string(n)); return n; }
#endif
__attribute__((noinline)) static int first(int n)
{
	std::string s("first");
#ifdef FIX1
	s += std::to_string(helper(n));
#endif
	if (n > 3) throw std::runtime_error(s);
	return (int)s.size();
}
__attribute__((noinline)) static int second(int n)
{
	try {
#if defined FIX2 && defined ADDED
		n += helper(n);
#endif
#ifdef FIX2
		n += 2;
#endif
		return first(n);
	} catch (std::exception &e) {
		printf("caught %s\n", e.what());
		return 0;
	}
}
int main(int argc, char **)
{
	lp_apply();
	for (int i = 0; i < 5; i++)
		printf("%d\n", second(argc + i));
}
