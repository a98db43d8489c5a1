// SPDX-License-Identifier: GPL-2.0
// Shared by both units of the C++ test program. With NEW the inline functions and templates are those of the fix.
#pragma once
#include <atomic>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

#define NOINLINE __attribute__((noinline))
#ifdef NEW
#define PICK(before, now) (now)
#else
#define PICK(before, now) (before)
#endif

struct Counted {
	inline static std::atomic<int> alive, born;
	Counted() { ++alive, ++born; }
	Counted(const Counted &) { ++alive, ++born; }
	~Counted() { --alive; }
};

struct Failure : std::runtime_error {
	int code;
	Failure(int n) : std::runtime_error("failure " + std::to_string(n)), code(n) {}
};

struct Shape {
	int side;
	explicit Shape(int n) : side(n) {}
	virtual ~Shape() {}
	virtual int area() const { return PICK(0, -side); }
	virtual const char *name() const { return "shape"; }
};

struct Square : Shape {
	using Shape::Shape;
	int area() const override { return PICK(side + side, side * side); }
	const char *name() const override { return "square"; }
};

template <class T> NOINLINE T scale(T x) { return PICK(x + x, x * 3 + 1); }
template <class T> NOINLINE T untouched(T x) { return x - 1; }

int first_number(); // initial value of the static local, called once
NOINLINE inline int next_number()
{
	static int n = first_number();
	return n += PICK(1, 100);
}

struct Log {
	int lines = 0;
	~Log();
};
extern thread_local Log log_of_thread;

// cxx.cc, which is patched
int thrower(int n);
int through(int n);
int catches(int n);
int rethrows(int n);
int cleans(int n) noexcept;
std::exception_ptr captures(int n);
int recaptured(std::exception_ptr p);
int lambdas(int n);
int virtuals(const Shape &s);
int what_is(const Shape *s);
int logged(int n);
std::function<int(int)> adder(int n);
const std::type_info &thrown_type(int n);

// old.cc, which is not patched
int old_thrower(int n);
int old_catcher(int (*f)(int), int n);
int old_through(int (*f)(int), int n);
int old_trace();
int traced(int n);
