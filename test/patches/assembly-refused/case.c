/*
 * A function in assembly, which shares its section with others.
 *
 * refused: not-function-sections by_hand: compile old and new with -ffunction-sections
 */
#include "../case.h"

#ifdef FIX
#define VALUE "2"
#else
#define VALUE "1"
#endif

long by_hand(void);
__asm__(".text\n"
	".globl by_hand\n"
	".type by_hand, @function\n"
	"by_hand: mov $" VALUE ", %eax\n"
	"	ret\n"
	".size by_hand, . - by_hand\n"
	".globl by_hand_too\n"
	".type by_hand_too, @function\n"
	"by_hand_too: ret\n"
	".size by_hand_too, . - by_hand_too\n");

long probe(void)
{
	return by_hand();
}
