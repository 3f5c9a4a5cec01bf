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

/* The parts of a batch. */
struct parts {
  struct bs_message *message;
  char *room, *names, *controls;
};

/* Finds the parts of a batch; 0 where the memory is too small for them, or is not there any more. */
static int find_parts(struct bs_batch *b, uint64_t length, struct parts *p) {
  if (length < sizeof *b || b->capacity < 1 || b->size < 0 || b->control_size < 0) return 0;
  uint64_t n = (uint64_t)b->capacity;
  if (length < sizeof *b + n * (sizeof *p->message + BS_MESSAGE_ROOM + BS_NAME_MAX + (uint64_t)b->control_size)) return 0;
  p->message = (struct bs_message *)(b + 1);
  p->room = (char *)(p->message + n);
  p->names = p->room + n * BS_MESSAGE_ROOM;
  p->controls = p->names + n * BS_NAME_MAX;
  return 1;
}

/* Whether the messages to send are there, with all that they have. */
static int are_sendable(const struct bs_batch *b, const struct parts *p, uint64_t data_length) {
  if (b->first < 0 || b->count < 0 || b->count > b->capacity - b->first) return 0;
  for (int32_t i = b->first; i < b->first + b->count; i++) {
    const struct bs_message *m = &p->message[i];
    uint64_t at = (uint64_t)i * (uint64_t)b->size;
    if (m->length < 0 || at > data_length || (uint64_t)m->length > data_length - at) return 0;
    if (m->name_length < 0 || m->name_length > BS_NAME_MAX) return 0;
    if (m->control_length < 0 || m->control_length > b->control_size) return 0;
  }
  return 1;
}

/* Zeros behind a name, so that names can be compared by words; its length. */
static int32_t end_name(uint8_t *name, int length) {
  if (length < 0) length = 0;
  if (length > BS_NAME_MAX) length = BS_NAME_MAX;
  for (int i = length; i < BS_NAME_MAX && i % 4; i++) name[i] = 0;
  return length;
}

static void set_name(struct bs_io *io, int length) { io->name_length = end_name(io->name, length); }

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
