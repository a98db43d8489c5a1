#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
extern "C" void lp_apply(void);
#include <coroutine>
struct gen { struct promise_type { long v; gen get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
 std::suspend_always initial_suspend() { return {}; } std::suspend_always final_suspend() noexcept { return {}; }
 std::suspend_always yield_value(long x) { v = x; return {}; } void return_void() {} void unhandled_exception() {} };
 std::coroutine_handle<promise_type> h; long next() { h.resume(); return h.promise().v; } };
namespace n { struct c { long step; NI gen count(long from) {
#ifdef NEW
 co_yield -1; co_yield from; co_yield from + step;
#else
 co_yield from; co_yield from + step; co_yield from + 2 * step;
#endif
 for (;;) co_yield 77; } }; }
int main() { n::c c{1}; gen g = c.count(1); g.next(); g.next(); lp_apply(); printf("%ld\n", g.next()); }
