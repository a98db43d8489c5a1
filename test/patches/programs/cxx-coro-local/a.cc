#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
extern "C" void lp_apply(void);
#include <coroutine>
struct gen { struct promise_type { long v; gen get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
 std::suspend_always initial_suspend() { return {}; } std::suspend_always final_suspend() noexcept { return {}; }
 std::suspend_always yield_value(long x) { v = x; return {}; } void return_void() {} void unhandled_exception() {} };
 std::coroutine_handle<promise_type> h; long next() { h.resume(); return h.promise().v; } };
template<class T> NI gen count(T from) {
#ifdef NEW
 T twice = from * 2; co_yield from; co_yield twice; co_yield twice + from;
#else
 co_yield from; co_yield from + 1; co_yield from + 2;
#endif
 for (;;) co_yield 77; }
int main() { gen g = count(5L); g.next(); lp_apply(); printf("%ld\n", g.next()); gen h = count(7L); h.next(); printf("%ld\n", h.next()); }
