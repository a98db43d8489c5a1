#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void lp_apply(void);
int work(int x);
int nap(int x);
volatile int spinning;

__attribute__((noinline)) int nap(int x)
{
	struct timespec t = {.tv_sec = 300};

	puts("there");
	fflush(stdout);
	nanosleep(&t, NULL);
	return x;
}

int main(void)
{
	lp_apply();
	if (getenv("SPIN")) {
		spinning = 1;
		puts("there");
		fflush(stdout);
	}
	printf("%d\n", work(3)); /* so that it is no jump */
	return 0;
}
