/*
 * Two functions have the same code, and the linker made one of them. The fix changes the one and not the other.
 *
 * refused: shared-code first: has made one of this function and second
 * flags: -fno-ipa-icf -ffunction-sections
 * only: gcc
 * link: -fuse-ld=gold -Wl,--icf=all
 */
#include "../case.h"

noinline long first(long x)
{
	return x * 3 + (x + 5) % 7 + OLD_NEW(0, 1);
}

noinline long second(long x)
{
	return x * 3 + (x + 5) % 7;
}

static long (*volatile pointers[2])(long);

void setup(void)
{
	pointers[0] = first;
	pointers[1] = second;
}

long probe(void)
{
	return pointers[0](HIDE(10)) + pointers[1](HIDE(10));
}
