. "$CASE/../calls-path/common.sh"
try_build redefine 'gcc -O2 -g -Dwork=w -c work.c -o w.o; objcopy --redefine-sym w=work w.o work.o; make'
try_build prefix 'gcc -O2 -g -Dprintf=printf_ -c work.c -o w.o; objcopy --prefix-symbols=p_ w.o work.o; gcc -O2 -g -Dwork=p_work -c main.c
	printf "%s\n" "#include <stdarg.h>" "#include <stdio.h>" "int p_printf_(const char *f, ...) { va_list a; va_start(a, f); return vprintf(f, a); }" >p.c; gcc -g -c p.c; gcc -o prog main.o work.o p.o'
try_build localize 'make main.o work.o; ld -r -o both.o main.o work.o; objcopy --localize-symbol=work both.o; gcc -o prog both.o'
try_build strip 'make main.o work.o; /usr/bin/strip -g work.o; gcc -o prog main.o work.o'
try_build archive 'make main.o work.o; ar rc lib.a work.o; objcopy --weaken-symbol=work lib.a; gcc -o prog main.o lib.a'
exit $bad
