/* What the loops in C share. */
#pragma once
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int must(int r, const char *what) {
  if (r < 0) {
    perror(what);
    exit(1);
  }
  return r;
}

static inline void *do_nothing(void *unused) {
  for (;;) pause();
  return unused;
}

/* In a process with several threads Linux counts who uses a descriptor at every call, and a process of Bun always has
 * several. */
static inline void start_idle_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, do_nothing, NULL);
}
