#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
void lp_apply(void);
int unrelated(void);
__attribute__((noinline)) void show(void){ int (*f)(void) = (int(*)(void))dlsym(RTLD_DEFAULT, "plugin_hook"); printf("%d\n", f ? f() : -1); }
int main(void){ lp_apply(); show(); return unrelated() - 3; }
