int level = 1;
int unused_level = 1;
