/*
 * A function in assembly with a section of its own is like any other.
 *
 * old: 1
 * new: 2
 * changes: by_hand
 */
#include "../case.h"

#ifdef FIX
#define VALUE "2"
#else
#define VALUE "1"
#endif

long by_hand(void);
__asm__(".section .text.by_hand, \"ax\", @progbits\n"
	".p2align 4\n"
	".globl by_hand\n"
	".type by_hand, @function\n"
	"by_hand: mov $" VALUE ", %eax\n"
	"	ret\n"
	".size by_hand, . - by_hand\n"
	".text\n");

long probe(void)
{
	return by_hand();
}
