. "$CASE/common.sh"
try_build by-path 'make CC=/usr/bin/gcc'
try_build clean-environment 'env -i PATH=/usr/bin:/bin make'
try_build wrapper 'make CC=tools/cc-of-ours'
try_build other-name 'mkdir -p x/y && ln -sf /usr/bin/gcc x/y/tcc.bin && make CC=x/y/tcc.bin'
try_build cross-name "make CC=$(gcc -dumpmachine)-gcc"
try_build cxx 'make CC=/usr/bin/gcc work.o main.o && c++ -o prog work.o main.o'
try_build at-file 'printf "%s\n" "-O2 -g -DX=\"a\\ b\"" -c work.c >args; /usr/bin/gcc @args; gcc -O2 -g -c main.c; echo main.o work.o >list; gcc -o prog @list'
try_build options 'make CC="/usr/bin/gcc -pipe -wrapper env -B /usr/bin"'
exit $bad
