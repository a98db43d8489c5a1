// The program around throw.cc.
#include <cstdio>
#include "throw.h"

int cleaned;

Failure::~Failure() {}

__attribute__((noinline)) int leaf(int x)
{
	Failure f;

	f.code = x;
	if (x > 5)
		throw f;
	return x;
}

int main()
{
	for (int x = 4; x < 8; x++)
		std::printf("%d\n", catches(x));
	std::printf("%d cleaned\n", cleaned);
}
