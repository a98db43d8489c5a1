. "$CASE/../calls-path/common.sh"
command -v cmake ninja meson >/dev/null || exit 77
TARGET=b/prog try_build cmake 'cmake -G Ninja -S . -B b -DCMAKE_BUILD_TYPE=RelWithDebInfo; ninja -C b'
TARGET=b/prog try_build cmake-path 'cmake -S . -B b -DCMAKE_C_COMPILER=/usr/bin/gcc -DCMAKE_C_FLAGS="-O2 -g"; env -i PATH=/usr/bin cmake --build b'
TARGET=b/prog try_build meson 'CC=/usr/bin/gcc meson setup b; ninja -C b'
exit $bad
