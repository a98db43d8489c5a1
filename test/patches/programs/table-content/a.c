#include <stdio.h>
#ifdef NEW
#define LIMIT "9"
#else
#define LIMIT "4"
#endif
__asm__(".pushsection limits,\"a\",@progbits\n.balign 4\n.long 3, " LIMIT "\n.popsection");
extern const int __start_limits[], __stop_limits[];
int main(void)
{
	for (const int *p = __start_limits; p < __stop_limits; p++)
		printf("%d\n", *p);
	return 0;
}
