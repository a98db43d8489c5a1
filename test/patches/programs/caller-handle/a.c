#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#ifdef EITHER
#define HANDLE (name[0] == 'p' ? RTLD_NEXT : RTLD_DEFAULT)
#elif defined(PARAM)
#define HANDLE handle
#elif defined(OPENED)
#define HANDLE dlopen(NULL, RTLD_LAZY)
#elif defined(DEFAULT)
#define HANDLE RTLD_DEFAULT
#else
#define HANDLE RTLD_NEXT
#endif
__attribute__((noinline)) int next(void *handle, const char *name)
{
#ifdef POINTER
	void *(*volatile look)(void *, const char *) = dlsym;
	void *p = look(HANDLE, name);
#else
	void *p = dlsym(HANDLE, name);
#endif
#ifdef NEW
	if (!p)
		printf("(new code) %s\n", dlerror());
#endif
	return p != NULL;
}
int main(void)
{
	lp_apply();
	printf("%d\n", next(RTLD_NEXT, "puts"));
	return 0;
}
