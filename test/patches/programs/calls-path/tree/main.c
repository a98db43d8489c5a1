#include "v.h"
int main(int argc, char **argv) { (void)argv; return work(argc) * 0; }
