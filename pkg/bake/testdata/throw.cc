// What is patched, with -DNEW the new version: functions through which exceptions pass, and of which debuggers must find
// the callers. Their frames are large and have no frame pointer.
#include "throw.h"

struct Guard {
	~Guard() { cleaned++; }
};

__attribute__((noinline)) int through(int x)
{
	Guard g;
	volatile char frame[3000];

	frame[x & 1023] = 1;
#ifdef NEW
	return leaf(x + 1) + frame[x & 1023] + 10;
#else
	return leaf(x) + frame[x & 1023];
#endif
}

int catches(int x)
{
	Guard g;
	volatile long frame[300];

	frame[x & 127] = x;
	try {
#ifdef NEW
		return through(x) + 100;
#else
		return through(x);
#endif
	} catch (const Failure &f) {
#ifdef NEW
		return f.code + 1000 + (int)frame[x & 127];
#else
		return f.code;
#endif
	}
}
