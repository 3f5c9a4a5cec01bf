/*
 * Many messages by one call, for Linux, macOS and the BSDs. Part of posix.c.
 *
 * The system's structures lie in the caller's memory, and are written anew only where they changed: a receive costs as
 * much as there are messages, not as much as there is room.
 */

/* struct mmsghdr, which macOS lacks. */
struct many {
  struct msghdr head;
  unsigned length;
};

_Static_assert(sizeof(struct many) + sizeof(struct iovec) <= BS_MESSAGE_ROOM, "the room of a message");
_Static_assert(sizeof(struct bs_batch) % 8 == 0 && sizeof(struct bs_message) % 8 == 0, "alignment");

static struct iovec *pieces_of(const struct bs_batch *b, struct many *many) {
  return (struct iovec *)(many + b->capacity);
}

/* Everything of a message but what says how long its parts are. */
static void set_pointers(const struct bs_batch *b, const struct parts *p, struct many *many, char *data, int32_t i) {
  struct iovec *piece = pieces_of(b, many) + i;
  struct msghdr *m = &many[i].head;
  memset(m, 0, sizeof *m); /* glibc and musl pad it differently */
  piece->iov_base = data + (size_t)i * (size_t)b->size;
  m->msg_iov = piece;
  m->msg_iovlen = 1;
  m->msg_name = p->names + (size_t)i * BS_NAME_MAX;
  m->msg_control = b->control_size ? p->controls + (size_t)i * (size_t)b->control_size : NULL;
}

/* What a receive leaves other than it found it. */
static void expect_receive(const struct bs_batch *b, struct msghdr *m) {
  m->msg_namelen = BS_NAME_MAX;
  m->msg_controllen = (unsigned)b->control_size;
}

/* Prepares all messages for a receive. */
static void prepare_receive(struct bs_batch *b, const struct parts *p, struct many *many, char *data) {
  int32_t n = b->used;
  if (b->here != (uintptr_t)b || b->there != (uintptr_t)data || n < 0 || n > b->capacity) n = b->capacity;
  for (int32_t i = 0; i < n; i++) {
    set_pointers(b, p, many, data, i);
    pieces_of(b, many)[i].iov_len = (size_t)b->size;
    expect_receive(b, &many[i].head);
  }
  b->used = 0;
  b->here = (uintptr_t)b;
  b->there = (uintptr_t)data;
}

#if defined(MSG_WAITFORONE) && defined(SYS_recvmmsg)
/* The system's own calls: musl makes one for each message, and copies control messages. */
static int receive_many(int fd, struct bs_batch *b, struct many *many, int flags, double timeout) {
  (void)timeout;
  return (int)syscall(SYS_recvmmsg, fd, many, b->capacity, flags | MSG_WAITFORONE, NULL);
}

static int send_many(int fd, struct bs_batch *b, struct many *many, int count, int flags) {
  (void)b;
  int r = (int)syscall(SYS_sendmmsg, fd, many, count, flags | NO_SIGNAL);
  return refuses_no_signal(fd, r) ? (int)syscall(SYS_sendmmsg, fd, many, count, flags) : r;
}
#else
/* After `done` messages a call failed: how many, and the error is kept, unless it says that there is no more to do. */
static int ended(struct bs_batch *b, int done) {
  if (done == 0) return -1;
  if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) b->error = -errno;
  return done;
}

static int receive_many(int fd, struct bs_batch *b, struct many *many, int flags, double timeout) {
  for (int i = 0; i < b->capacity; i++) {
    ssize_t r = receive(fd, &many[i].head, i ? flags | MSG_DONTWAIT : flags, i ? 0 : timeout);
    if (r < 0) return ended(b, i);
    many[i].length = (unsigned)r;
  }
  return b->capacity;
}

static int send_many(int fd, struct bs_batch *b, struct many *many, int count, int flags) {
  for (int i = 0; i < count; i++)
    if (send_message(fd, &many[i].head, flags) < 0) return ended(b, i);
  return count;
}
#endif

int32_t bs_recv_batch(int32_t fd, struct bs_batch *b, uint64_t batch_length, void *data, uint64_t data_length,
                      int32_t flags, double timeout) {
  struct parts p;
  if (!find_parts(b, batch_length, &p) || (uint64_t)b->capacity * (uint64_t)b->size > data_length) return -EFAULT;
  struct many *many = (struct many *)p.room;
  prepare_receive(b, &p, many, data);
  b->error = 0;
  int n;
  flags = flags_for(flags, timeout);
  RETRY(fd, receivable(flags), timeout, receive_many(fd, b, many, flags, timeout), n)
  for (int32_t i = 0; i < n; i++) {
    struct msghdr *m = &many[i].head;
    /* With MSG_TRUNC it is the datagram's own length. */
    p.message[i].length = many[i].length < (unsigned)b->size ? (int32_t)many[i].length : b->size;
    p.message[i].flags = m->msg_flags;
    p.message[i].name_length = end_name(m->msg_name, (int)m->msg_namelen);
    p.message[i].control_length =
        m->msg_controllen < (unsigned)b->control_size ? (int32_t)m->msg_controllen : b->control_size;
    expect_receive(b, m); /* the next one */
  }
  return n;
}

int32_t bs_send_batch(int32_t fd, struct bs_batch *b, uint64_t batch_length, const void *data, uint64_t data_length,
                      int32_t flags, double timeout) {
  struct parts p;
  if (!find_parts(b, batch_length, &p) || !are_sendable(b, &p, data_length)) return -EFAULT;
  struct many *many = (struct many *)p.room;
  for (int32_t i = b->first; i < b->first + b->count; i++) {
    const struct bs_message *message = &p.message[i];
    struct msghdr *m = &many[i].head;
    set_pointers(b, &p, many, (char *)data, i);
    pieces_of(b, many)[i].iov_len = (size_t)message->length;
    m->msg_namelen = (socklen_t)message->name_length;
    if (message->name_length == 0) m->msg_name = NULL;
    m->msg_controllen = (unsigned)message->control_length;
    if (message->control_length == 0) m->msg_control = NULL;
  }
  if (b->used < b->first + b->count) b->used = b->first + b->count;
  b->error = 0;
  int32_t sent = 0;
  flags = flags_for(flags, timeout);
  struct waiting w = {timeout, timeout > 0 ? due_after(timeout) : 0, 0};
  while (sent < b->count && b->error == 0) {
    int left = b->count - sent;
    int most = timeout > 0 ? SLICES_TIMED : SLICES_MAX;
    int n = send_many(fd, b, many + b->first + sent, left < most ? left : most, flags);
    if (n >= 0) {
      sent += n;
      w.woken = 0;
      if (timeout > 0 && sent < b->count && now_ns() >= w.due) break;
      continue;
    }
    int32_t failed = wait_for(&w, fd, POLLOUT, errno);
    if (failed == 0) continue;
    if (sent == 0) return failed;
    if (failed != -EAGAIN && failed != -EWOULDBLOCK && failed != BS_TIMED_OUT) b->error = failed;
    break;
  }
  return sent;
}
