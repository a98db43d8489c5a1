static __attribute__((noinline)) int times(int x) {
	__asm__ volatile("");
#ifdef NEW
	return x * 100;
#else
	return x * 10;
#endif
}
int compute(int x) { __asm__ volatile(""); return times(x) + 1; }
