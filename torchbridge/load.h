#ifndef TORCHBRIDGE_LOAD_H
#define TORCHBRIDGE_LOAD_H

#include <stddef.h>

/* Loads the library and finds the functions of torchbridge.h in it: 0, or else why
   holds the reason, of at most size bytes. Until then none of them may be called. */
int tb_load(const char* path, char* why, size_t size);

#endif
