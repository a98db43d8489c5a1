#include <cstdio>
extern "C" void lp_apply(void);
extern "C" __attribute__((noinline)) void thrower(void) { throw 5; }
extern "C" void through(void);
#ifdef NEW
#define CFA "32"
#else
#define CFA "64"
#endif
__asm__(".pushsection .text.through,\"ax\",@progbits\n.globl through\n.type through,@function\nthrough:\n.cfi_startproc\n"
	"sub $24,%rsp\n.cfi_def_cfa_offset " CFA "\ncall thrower\nadd $24,%rsp\nret\n.cfi_endproc\n.size through,.-through\n.popsection");
int main(void)
{
	lp_apply();
	try {
		through();
	} catch (int i) {
		std::printf("caught %d\n", i);
	}
	return 0;
}
