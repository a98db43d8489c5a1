. "$CASE/../calls-path/common.sh"
try_build as 'gcc -O2 -g -S work.c; as -o work.o work.s; make'
try_build pipe 'gcc -O2 -S -o - work.c | /usr/bin/as -o work.o; make'
try_build standard-input 'gcc -O2 -g -c -x c - -o work.o <work.c; make'
try_build standard-input-linked '/usr/bin/gcc -O2 -g -c main.c; gcc -O2 -g -o prog main.o -x c - <work.c'
try_build preprocessed 'gcc -E work.c -o work.i; gcc -O2 -g -c work.i; make'
command -v clang-19 >/dev/null && try_build clang '/usr/bin/clang-19 -O2 -g -S work.c; /usr/bin/clang-19 -c work.s; make'
exit $bad
