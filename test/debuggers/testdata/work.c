/* The patched function calls one of the program, where a thread sleeps, or spins in a function that only the patch has. */
int nap(int x);
int work(int x);
extern volatile int spinning;

#ifdef NEW
__attribute__((noinline)) int rest(int x)
{
	while (spinning)
		;
	return nap(x + 1) + 1;
}

int work(int x) { return rest(x + 20) + x; }
#else
int work(int x) { return nap(x) + x; }
#endif
