#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
void lp_apply(void);
extern int plugin_api;
__attribute__((noinline)) void show(void){ int *f = dlsym(RTLD_DEFAULT, "plugin_api"); printf("%d\n", f ? *f : -1); }
int main(void){ lp_apply(); show(); return plugin_api - 7; }
