/*
 * A function of a library with two versions: each is patched under its own name.
 *
 * old: 12
 * new: 15
 * between: 13 14
 * image: library
 * link: -Wl,--version-script={dir}/case.map
 */
#include "../case.h"

__attribute__((visibility("default"))) noinline long convert_v1(long x)
{
	return HIDE(x) + OLD_NEW(0, 1);
}

noinline long convert_v2(long x)
{
	return x * 10 + OLD_NEW(0, 2);
}

__asm__(".symver convert_v2, convert@@VERS_2");

long probe(void)
{
	long got = convert_v1(HIDE(2));

	return got + convert_v2(HIDE(1));
}
