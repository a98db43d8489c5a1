// SPDX-License-Identifier: GPL-2.0
// The unit that does not change, apart from its parts of cxx.h, and calls the other unit.
#include "cxx.h"
#include <cstdlib>
#include <execinfo.h>
#include <thread>
#include <typeinfo>

void *trace_mark; // an address of code that a backtrace has to find
static int logs_ended, asked;
Log::~Log() { logs_ended += lines; }
int first_number() { return ++asked * 1000; }

int old_thrower(int n)
{
	Counted c;
	if (n == 1)
		throw 1;
	if (n == 3)
		throw Failure(n);
	if (n == 4)
		throw std::invalid_argument("four");
	return n;
}

NOINLINE int old_through(int (*f)(int), int n)
{
	Counted c;
	return f(n) + 1;
}

NOINLINE int old_catcher(int (*f)(int), int n)
{
	try {
		return old_through(f, n);
	} catch (const Failure &f) {
		return 1000000 + f.code;
	} catch (const std::logic_error &) {
		return 2000000;
	} catch (int) {
		return 3000000;
	}
}

int old_trace()
{
	void *frames[64];
	int n = backtrace(frames, 64), found = 0;
	for (int i = 0; i < n; i++)
		found += frames[i] == trace_mark;
	return found * 100;
}

// Kept across the patch: a closure of the old code.
static std::function<int(int)> kept;

extern "C" {
FILE **input;
void run(FILE *out);
}

void run(FILE *out)
{
	if (!kept)
		kept = adder(1);
	Shape shape(3);
	Square square(4);
	for (int n = 0; n < 6; n++) {
		fprintf(out, "%d: thrower %d through %d catches %d rethrows %d", n, old_catcher(thrower, n),
			old_catcher(through, n), catches(n), old_catcher(rethrows, n));
		std::exception_ptr p = captures(n);
		int got = 0;
		std::thread([&] { got = recaptured(n == 2 ? nullptr : p); }).join();
		fprintf(out, " captured %d type %s\n", got, thrown_type(n).name());
		fprintf(out, "%d: lambdas %d adder %d logged %d", n, lambdas(n), adder(n)(n), logged(n));
		std::thread([&] { got = logged(n); }).join();
		fprintf(out, " %d\n", got);
		fprintf(out, "%d: scale %d\n", n, scale(n));
	}
	fprintf(out, "virtual %d %d %d %d clean %d ended %d asked %d\n", virtuals(shape), virtuals(square), what_is(&shape),
		what_is(&square), cleans(2), logs_ended, asked);
	trace_mark = __builtin_return_address(0);
	fprintf(out, "trace %d\n", old_through(traced, 1));
	fflush(out);
	if (getenv("TERMINATE"))
		cleans(3);
}
