static const int writer[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
__attribute__((noinline)) int b(int i) { return writer[i & 7] * 5; }
