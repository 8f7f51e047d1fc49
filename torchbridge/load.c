// The program is not linked to libtorchbridge.so. Each function of torchbridge.h
// is here a jump to where tb_load found it in the library, so that what needs no
// libtorch does not wait a third of a second for it, and a process can be
// confined before any of libtorch runs.
#include "load.h"

#include <dlfcn.h>
#include <stdio.h>

#if defined(__x86_64__)
#define JUMP(slot) "jmp *" slot "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(slot) "adrp x16, " slot "\nldr x16, [x16, #:lo12:" slot "]\nbr x16\n"
#else
#error "add the jump through a pointer of this processor"
#endif

#define F(name)                                                                        \
  __attribute__((visibility("hidden"))) void* tb_at_##name;                            \
  __asm__(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", %function\n" #name ":\n" \
          JUMP("tb_at_" #name) ".size " #name ", .-" #name "\n");
#include "functions.h"
#undef F

static const struct {
  const char* name;
  void** at;
} slots[] = {
#define F(name) {#name, &tb_at_##name},
#include "functions.h"
#undef F
};

int tb_load(const char* path, char* why, size_t size) {
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    snprintf(why, size, "%s", dlerror());
    return 1;
  }
  for (size_t i = 0; i < sizeof slots / sizeof *slots; ++i) {
    if ((*slots[i].at = dlsym(library, slots[i].name))) continue;
    snprintf(why, size, "%s: it has no %s, so it is of another version of this program", path, slots[i].name);
    return 1;
  }
  return 0;
}
