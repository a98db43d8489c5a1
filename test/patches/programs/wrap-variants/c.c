#include <stdio.h>
void __real_note(const char *s);
int __real_puts(const char *s);
void __wrap_note(const char *s)
{
#ifdef NEW
	__real_puts("(filter)");
#endif
	printf("[filtered] ");
	__real_note(s);
}
int __wrap_puts(const char *s) { return printf("[puts] ") + __real_puts(s); }
