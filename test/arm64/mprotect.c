/*
 * mprotect(2) of no bytes succeeds. The emulator of QEMU 7.2 refuses it, and Bun, which asks for that where memory may be
 * resized, ends itself. test/arm64/run.ts has this library loaded before the C library's.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int mprotect(void *address, size_t length, int protection) {
  return length == 0 ? 0 : (int)syscall(SYS_mprotect, address, length, protection);
}
