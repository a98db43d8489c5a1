#include <stdio.h>
#include <stdint.h>
void lp_apply(void);
extern char ehdr[] __asm__("__ehdr_start"), exe[] __asm__("__executable_start"), et[] __asm__("etext"), et2[] __asm__("_etext");
extern char ed[] __asm__("edata"), ed2[] __asm__("_edata"), en[] __asm__("end"), en2[] __asm__("_end"), bss[] __asm__("__bss_start");
extern void *ia[] __asm__("__init_array_start"), *iae[] __asm__("__init_array_end");
extern int start_set[] __asm__("__start_numbers"), stop_set[] __asm__("__stop_numbers");
extern int no_set[] __asm__("__start_nothing") __attribute__((weak));
__attribute__((section("numbers"), used)) static int primes[] = { 3, 5, 7, 9 };
int zero[100];
int main(int, char **);
static void *main_address(void) { return (void *)main; }
__attribute__((noinline)) int work(int n)
{
#ifdef NEW
	int *volatile start = start_set;
	int sum = 0;
	for (int *p = start; p < stop_set; p++)
		sum += *p;
	printf("%d %d %d %d\n", sum, ehdr[1] == 'E', exe == ehdr, et == et2 && (uintptr_t)et > (uintptr_t)main_address() && (uintptr_t)et < (uintptr_t)primes);
	printf("%d %d %d\n", ed == ed2 && ed <= bss && bss <= (char *)zero, en == en2 && en >= (char *)(zero + 100), no_set == 0);
	return (int)(iae - ia) + n;
#else
	return n * 3 + printf("old %d\n", n);
#endif
}
int main(int argc, char **argv) { lp_apply(); printf("%d\n", work(argc)); return zero[argc]; }
