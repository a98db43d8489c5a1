// SPDX-License-Identifier: GPL-2.0
// The unit that is patched.
#include "cxx.h"
#include <cstring>
#include <typeinfo>

thread_local Log log_of_thread;

int thrower(int n)
{
	Counted c;
	if (n > 2)
		throw Failure(PICK(n, n * 10));
	if (n == 2)
		throw std::out_of_range("two");
	return PICK(n, n + 7);
}

// A backtrace from below it must reach above it.
int traced(int n)
{
	Counted c;
	return old_trace() + PICK(n, n + 7);
}

int through(int n)
{
	Counted a, b;
	int r = old_thrower(n);
	return r + PICK(1, 1000);
}

int catches(int n)
{
	try {
		Counted c;
		return old_thrower(n) + thrower(n) + PICK(0, 5);
	} catch (const Failure &f) {
		return f.code + PICK(100, 200);
	} catch (const std::exception &e) {
		return (int)strlen(e.what()) + PICK(300, 400);
	} catch (...) {
		return PICK(-1, -2);
	}
}

int rethrows(int n)
{
	try {
		return old_thrower(n);
	} catch (Failure &f) {
		f.code += PICK(1, 2);
		throw;
	}
}

// An exception that leaves it calls std::terminate.
int cleans(int n) noexcept
{
	Counted c;
	return old_thrower(n) + PICK(0, 1);
}

std::exception_ptr captures(int n)
{
	try {
		thrower(n);
	} catch (...) {
		return PICK(std::current_exception(), std::make_exception_ptr(Failure(n + 5000)));
	}
	return nullptr;
}

int recaptured(std::exception_ptr p)
{
	try {
		if (p)
			std::rethrow_exception(p);
	} catch (const Failure &f) {
		return f.code + PICK(1, 2);
	}
	return PICK(0, 9);
}

#ifdef NEW
// Types and templates that are new in the patch.
namespace {
struct Fresh {
	int code;
};
template <class T> struct Pair {
	T a, b;
	NOINLINE T sum() const { return a + b; }
};
}
#endif

int lambdas(int n)
{
	int seen = 0;
	auto each = [&](auto f) { for (int i = 0; i < n; i++) seen += f(i); };
	each([](int i) { return PICK(i, i * 2); });
	std::function<int(int)> f = [n](int i) { return i + n; };
#ifdef NEW
	each([n](int i) NOINLINE { return i * n + 3; });
	seen += Pair<int>{n, 1}.sum();
	try {
		if (n > 1)
			throw Fresh{n};
	} catch (const Fresh &x) {
		seen += x.code * 100000;
	}
#endif
	return seen + f(PICK(1, 2));
}

int virtuals(const Shape &s)
{
	return s.area() * 10 + (int)strlen(s.name()) + PICK(0, 1);
}

int what_is(const Shape *s)
{
	if (auto *q = dynamic_cast<const Square *>(s))
		return q->side + PICK(0, 50);
	return typeid(*s) == typeid(Shape) ? PICK(-1, -2) : -3;
}

int logged(int n)
{
	log_of_thread.lines += PICK(n, n * 2);
	return log_of_thread.lines + next_number() + scale(n) + (int)scale(n + 0.5) + untouched(n);
}

std::function<int(int)> adder(int n)
{
	std::string s(n, 'x');
	return [s](int i) { return i + (int)s.size() * PICK(1, 100); };
}

const std::type_info &thrown_type(int n)
{
	try {
		thrower(n);
	} catch (const Failure &f) {
		return typeid(f);
	} catch (const std::exception &e) {
		return typeid(e);
	}
	return PICK(typeid(1), typeid(Shape));
}
