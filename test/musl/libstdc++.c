/*
 * What gcc's libstdc++.a wants of glibc and musl has not, for test/musl/run.ts: they are linked into the libstdc++.so that
 * the musl Bun loads, and seen by nobody else.
 */
#define _GNU_SOURCE
#include <locale.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* Whether the process has a single thread: no. */
char __libc_single_threaded = 0;

/* -1 is "not known": the unwinder then asks dl_iterate_phdr. */
int _dl_find_object(void *address, void *result) {
  (void)address;
  (void)result;
  return -1;
}

unsigned arc4random(void) {
  unsigned value = 0;
  getentropy(&value, sizeof value);
  return value;
}

size_t __strftime_l(char *text, size_t size, const char *format, const struct tm *time, locale_t locale) {
  return strftime_l(text, size, format, time, locale);
}

/* Destructors of a thread's variables do not run when it ends. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *handle) {
  (void)destructor;
  (void)object;
  (void)handle;
  return 0;
}
