/* What each case includes. */
#ifndef LPATCH_TEST_CASE_H
#define LPATCH_TEST_CASE_H

#define noinline __attribute__((noinline))
#define unused __attribute__((unused))

/* One thing in the old version, another one in the new. */
#ifdef FIX
#define OLD_NEW(old, new) new
#else
#define OLD_NEW(old, new) old
#endif

/* The value of x, of which the compiler knows nothing. */
#ifdef __cplusplus
#define HIDE(x) ({ auto hidden_ = (x); __asm__ volatile("" : "+r"(hidden_)); hidden_; })
#else
#define HIDE(x) ({ __typeof__(0 ? (x) : (x)) hidden_ = (x); __asm__ volatile("" : "+r"(hidden_)); hidden_; })
#endif

#ifdef __cplusplus
extern "C" {
#endif
long probe(void); /* threads call it all the time; gives the value that the case says */
void setup(void); /* may be left out; called once before */
#ifdef __cplusplus
}
#endif

#endif
