. "$CASE/../calls-path/common.sh"
unshare -rm true 2>/dev/null || exit 77
refuse_build container 'where lpctl cannot follow it: have the build command call it outside of that' 'mkdir -p r/usr r/lib64 r/bin r/lib r/tmp r/src
	here=$PWD unshare -rm sh -ec "for d in usr lib64 bin lib; do mount --rbind /\$d r/\$d; done; mount --bind \$here r/src; exec chroot r sh -ec \"cd src; gcc -O2 -g -c work.c\""; make'
refuse_build binary 'w.bin is made by objcopy' 'make; objcopy -O binary -j .text work.o w.bin'
refuse_build section 'objcopy makes w.o of the section .text.unlikely of an object' 'make main.o work.o; objcopy -R .text.unlikely work.o w.o; gcc -o prog main.o w.o'
# A namespace of mounts alone hides nothing.
try_build mounts 'unshare -rm make'
exit $bad
