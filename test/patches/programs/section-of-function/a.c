#include <stdio.h>
void lp_apply(void);
extern char __start_special[], __stop_special[];
__attribute__((section("special"),noinline)) int g(int a){ return a+1; }
#ifdef NEW
__attribute__((section("special")))
#endif
__attribute__((noinline)) int f(int a){ return a*3; }
__attribute__((noinline)) int is(void *p){ return (char*)p>=__start_special && (char*)p<__stop_special; }
int main(void){ lp_apply(); printf("%d %d %d\n", is(f), is(g), f(2)+g(1)); return 0; }
