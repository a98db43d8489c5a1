#include <stdio.h>
extern const char __start_trusted[], __stop_trusted[];
__attribute__((noinline)) int is_trusted(const void *caller)
{
	return (const char *)caller >= __start_trusted && (const char *)caller < __stop_trusted;
}
__attribute__((noinline)) int open_it(int x) { return is_trusted(__builtin_return_address(0)) ? x : -1; }
__attribute__((section("trusted"), noinline)) int ask(int x)
{
#ifdef NEW
	return open_it(x + 7) + 1;
#else
	return open_it(x) + 1;
#endif
}
int main(int argc, char **argv) { printf("%d\n", ask(argc)); return 0; }
