#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold))
#define INLINE inline
#define ONCE(what, value) do { static unsigned told; if (!told) { told = 1; say(what, value); } } while (0)
#ifdef __cplusplus
extern "C"
#endif
void lp_apply(void);
#ifdef __cplusplus
extern "C"
#endif
int printf(const char *, ...);
void say(const char *what, unsigned value);
#if 1
#include "all.h.old"
#endif
