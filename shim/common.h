/*
 * What the shims of all platforms share: lengths, deadlines, records. A shim says what time it is (now_ns), and has memcpy
 * and memset.
 */
#ifndef BERKELEY_SOCKETS_COMMON_H
#define BERKELEY_SOCKETS_COMMON_H

#include "shim.h"

#include <limits.h>
#include <stddef.h>

static int64_t now_ns(void);

/* The moment that many seconds from now; the end of time where the sum does not fit. */
static int64_t due_after(double seconds) {
  int64_t now = now_ns(), wait = (int64_t)(seconds * 1e9);
  return wait > INT64_MAX - now ? INT64_MAX : now + wait;
}

/* Milliseconds, rounded up: never early. */
static int ms_until(int64_t due, int64_t now) {
  int64_t ms = (due - now + 999999) / 1000000;
  return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* A call that may wait. `due` stays 0 until the first wait, so that a call that succeeds at once reads no clock. */
struct waiting {
  double timeout;
  int64_t due;
  int woken;
};

static size_t at_most(uint64_t length, int32_t max) {
  return max < 0 ? 0 : length < (uint64_t)max ? (size_t)length : (size_t)max;
}

/* A result is an i32: no call moves more than that at once (Linux's own limit is a page less). */
static int clamp(uint64_t length) { return length > INT_MAX ? INT_MAX : (int)length; }

static void set_name(struct bs_io *io, int length) {
  if (length < 0) length = 0;
  if (length > BS_NAME_MAX) length = BS_NAME_MAX;
  for (int i = length; i < BS_NAME_MAX && i % 4; i++) io->name[i] = 0;
  io->name_length = length;
}

/* Writes records; counts on past the end, so that the caller learns how much it needs. */
struct writer {
  char *out;
  uint64_t length, at;
};

static void put(struct writer *w, const void *bytes, size_t n) {
  size_t padded = (n + 3) & ~(size_t)3;
  if (w->at + padded <= w->length) {
    if (n) memcpy(w->out + w->at, bytes, n);
    memset(w->out + w->at + n, 0, padded - n);
  }
  w->at += padded;
}

static void put_int(struct writer *w, int32_t value) { put(w, &value, sizeof value); }

#endif
