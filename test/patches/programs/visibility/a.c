#ifdef NEW
__attribute__((visibility("default")))
#else
__attribute__((visibility("hidden")))
#endif
int plugin_hook(void){ return 7; }
