#include <stdio.h>
#include <string.h>
/* Hooks that a program may define itself; `inner` is protected. */
void hook(const char *s) { printf("library's hook: %s\n", s); }
void late(const char *s) { printf("library's late: %s\n", s); }
__attribute__((visibility("protected"))) void inner(const char *s) { printf("library's inner: %s\n", s); }
int level = 1;
static __attribute__((noinline)) void call(void (*f)(const char *), const char *s) { f(s); }
struct table { const char *name; void (*f)(const char *); };
int work(int i)
{
	printf("work %d %d %d\n", i, i * 3, i ^ 5);
#ifdef NEW
	hook("work");
#ifndef OWN
	call(hook, "by address");
#endif
	inner("work");
	level += 2;
	printf("level %d\n", level);
#ifndef OWN
	static const struct table t[] = { { "a", hook }, { "b", hook } };
	for (unsigned n = 0; n < 2; n++)
		if (strlen(t[n].name) == (unsigned)i)
			t[n].f(t[n].name);
#endif
	if (i < 3)
		return work(i + 1);
#endif
	return 0;
}
void other(void) { hook("other"); inner("other"); printf("%d\n", level); }
int count(int i) { return i > 2 ? 0 : work(3) + i; }
#ifdef ADDRESS
void (*get(void))(const char *) { return hook; }
#endif
