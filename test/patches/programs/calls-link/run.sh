. "$CASE/../calls-path/common.sh"
crt=$(dirname "$(gcc -print-file-name=Scrt1.o)")
rest="-pie -dynamic-linker /lib64/ld-linux-x86-64.so.2 -o prog $crt/Scrt1.o $crt/crti.o main.o work.o -L$crt -lc $crt/crtn.o"
try_build partial 'make work.o main.o; ld -r -o all.o work.o main.o; gcc -o prog all.o'
try_build partial-twice 'make work.o main.o; /usr/bin/ld -r -o a.o work.o; ld -r a.o main.o -o all.o; gcc -o prog all.o'
TARGET=libw.so PROGRAM=prog try_build library 'gcc -O2 -g -fPIC -c work.c; make main.o; ld -shared -soname libw.so -o libw.so work.o -lc; gcc -o prog main.o -L. -lw'
try_build directly "make work.o main.o; echo $rest >args; env -i /usr/bin/ld @args"
try_build thin 'make work.o main.o; ar rcT lib.a work.o; /usr/bin/gcc -o prog main.o lib.a'
command -v ld.gold >/dev/null && try_build gold "make work.o main.o; ld.gold $rest"
command -v ld.lld-19 >/dev/null && try_build lld "make work.o main.o; $(readlink -f /usr/bin/ld.lld-19 | xargs dirname)/ld.lld $rest"
exit $bad
