int unrelated(void){ return 3; }
#ifdef NEW
int plugin_hook(void){ return 7; }
#endif
