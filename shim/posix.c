/* The shim for Linux, macOS and the BSDs. shim.h tells what each function promises. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#if defined(__APPLE__)
#define __APPLE_USE_RFC_3542
#endif
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/sendfile.h>
#include <sys/syscall.h>
#endif
#if !defined(SOCK_CLOEXEC)
#include <dlfcn.h>
#include <pthread.h>
#endif

#include "common.h"

/* What differs between the systems is asked of the macros that they define, not of their names, so that the choices of
 * macOS can be built and tested on Linux (test/foreign/like-macos.h). Only sendfile has one name and three shapes. */
#define BS_SENDFILE_NONE 0
#define BS_SENDFILE_LINUX 1
#define BS_SENDFILE_MACOS 2
#define BS_SENDFILE_FREEBSD 3
#ifndef BS_SENDFILE
#if defined(__linux__)
#define BS_SENDFILE BS_SENDFILE_LINUX
#elif defined(__APPLE__)
#define BS_SENDFILE BS_SENDFILE_MACOS
#elif defined(__FreeBSD__)
#define BS_SENDFILE BS_SENDFILE_FREEBSD
#else
#define BS_SENDFILE BS_SENDFILE_NONE
#endif
#endif

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif
#if !defined(MSG_NOSIGNAL) || defined(__APPLE__)
/* macOS has the flag in its newer headers only, and not every system that they build for knows it. There each socket
 * is told once (no_sigpipe). */
#define NO_SIGNAL 0
#else
#define NO_SIGNAL MSG_NOSIGNAL
#endif

enum {
  SLICES_MAX = 1024, /* IOV_MAX of every system here */
  SLICES_TIMED = 128, /* of a batch, between two looks at the clock */
};

/* ---- Waiting ---- */

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* After a call failed with `error`: 0 to try again, or the negative result to return. */
static int32_t wait_for(struct waiting *w, int fd, short events, int error) {
  if (error == EINTR) return 0;
  if (w->timeout <= 0 || (error != EAGAIN && error != EWOULDBLOCK)) return -error;
  if (w->due == 0) w->due = due_after(w->timeout);
  /* Readiness that the call does not confirm (a datagram for a full Unix receiver, say) comes back at once each time:
   * a short sleep keeps it from taking the whole processor. */
  if (w->woken) poll(NULL, 0, 1);
  for (;;) {
    int64_t now = now_ns();
    if (now >= w->due) return BS_TIMED_OUT;
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, ms_until(w->due, now));
    if (n > 0) {
      w->woken = 1;
      return 0;
    }
    if (n < 0 && errno != EINTR) return -errno;
  }
}

/* `call` until it succeeds, fails or its time is up; leaves its result in `result`. */
#define RETRY(fd, events, timeout, call, result)                                                                       \
  struct waiting w = {(timeout), 0, 0};                                                                                \
  while ((result = (call)) < 0) {                                                                                      \
    int32_t failed = wait_for(&w, (fd), (events), errno);                                                              \
    if (failed) return failed;                                                                                         \
  }

static int32_t result(int r) { return r < 0 ? -errno : r; }

/* Who does not wait in the system, or waits here, says so at each call: whether a descriptor blocks is the same for all who
 * have the socket, and any of them can change it. */
static int32_t flags_for(int32_t flags, double timeout) { return timeout >= 0 ? flags | MSG_DONTWAIT : flags; }

/* The same for calls that take no flags. */
static void be_ready_for(int fd, double timeout) {
  if (timeout >= 0) bs_set_blocking(fd, 0);
}

/* What to wait for before a receive: the error queue shows as POLLERR, which poll reports unasked. */
static short receivable(int32_t flags) {
#if defined(MSG_ERRQUEUE)
  if (flags & MSG_ERRQUEUE) return 0;
#endif
  return flags & MSG_OOB ? POLLPRI : POLLIN;
}

#if !defined(SOCK_CLOEXEC)
/* Without SOCK_CLOEXEC a descriptor is inheritable for a moment. A fork in another thread waits for the end of it; what
 * waits itself does not hold the lock. (posix_spawn(2) of macOS asks nobody: there POSIX_SPAWN_CLOEXEC_DEFAULT does.) */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void lock_opening(void) { pthread_mutex_lock(&opening); }

static void unlock_opening(void) { pthread_mutex_unlock(&opening); }

static void guard_fork(void) {
  /* The handlers stay registered for ever, so the library has to stay as long. */
  Dl_info self;
  if (dladdr((void *)&opening, &self) && self.dli_fname) dlopen(self.dli_fname, RTLD_LAZY);
  pthread_atfork(lock_opening, unlock_opening, unlock_opening);
}
#endif

int32_t bs_start(void) {
#if !defined(SOCK_CLOEXEC)
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, guard_fork);
#endif
  return BS_VERSION;
}

/* ---- A socket's life ---- */

/* macOS sends SIGPIPE where no flag of a call can forbid it (sendfile has none). */
static void no_sigpipe(int fd) {
#if NO_SIGNAL == 0 && defined(SO_NOSIGPIPE)
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on); /* it fails where the peer has gone already */
#else
  (void)fd;
#endif
}

#if !defined(SOCK_CLOEXEC)
/* What a new descriptor lacks; `r` is the result of the call that made it. */
static int32_t finish_opening(int r) {
  if (r < 0) return -errno;
  if (fcntl(r, F_SETFD, FD_CLOEXEC) < 0) {
    int error = errno;
    close(r);
    return -error;
  }
  no_sigpipe(r);
  return r;
}
#endif

int32_t bs_socket(int32_t family, int32_t type, int32_t protocol) {
#if defined(SOCK_CLOEXEC)
  return result(socket(family, type | SOCK_CLOEXEC, protocol));
#else
  lock_opening();
  int32_t r = finish_opening(socket(family, type, protocol));
  unlock_opening();
  return r;
#endif
}

int32_t bs_socketpair(int32_t family, int32_t type, int32_t protocol, struct bs_io *io) {
  int pair[2];
#if defined(SOCK_CLOEXEC)
  if (socketpair(family, type | SOCK_CLOEXEC, protocol, pair) < 0) return -errno;
#else
  lock_opening();
  int32_t r = result(socketpair(family, type, protocol, pair));
  for (int i = 0; r >= 0 && i < 2; i++) {
    r = finish_opening(pair[i]);
    if (r < 0) close(pair[1 - i]);
  }
  unlock_opening();
  if (r < 0) return r;
#endif
  io->name_length = pair[0];
  io->flags = pair[1];
  return 0;
}

static int32_t int_option(int fd, int option, int32_t *value) {
  int v = 0;
  socklen_t length = sizeof v;
  if (getsockopt(fd, SOL_SOCKET, option, &v, &length) < 0) return -errno;
  *value = v;
  return 0;
}

int32_t bs_describe(int32_t fd, int32_t want, struct bs_io *io) {
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  memset(&name, 0, sizeof name);
  int32_t r = 0, family = 0, type = 0, protocol = 0;
  if (getsockname(fd, (struct sockaddr *)&name, &length) < 0) {
    /* AF_ALG, AF_XDP and others have none: only a descriptor that is no socket fails where the family is known. */
#if defined(SO_DOMAIN)
    if (errno == EBADF || errno == ENOTSOCK) return -errno;
#else
    if (want & 1 || errno == EBADF || errno == ENOTSOCK) return -errno;
#endif
  }
  family = name.ss_family;
#if defined(SO_DOMAIN)
  if (want & 1) r = int_option(fd, SO_DOMAIN, &family);
#endif
  if (r == 0 && want & 2) r = int_option(fd, SO_TYPE, &type);
#if defined(SO_PROTOCOL)
  if (r == 0 && want & 4) r = int_option(fd, SO_PROTOCOL, &protocol);
#endif
  io->name_length = family;
  io->flags = type;
  io->items = protocol;
  if (r == 0) no_sigpipe(fd); /* it becomes a socket of the library */
  return r;
}

int32_t bs_bind(int32_t fd, const void *name, int32_t name_length) {
  return result(bind(fd, name, (socklen_t)name_length));
}

int32_t bs_listen(int32_t fd, int32_t backlog) { return result(listen(fd, backlog)); }

#if !defined(SOCK_CLOEXEC)
/* accept(2) of a listener that is non-blocking, or that waits with nobody kept waiting for it. */
static int32_t accept_once(int fd, void *name, socklen_t *length, int waits) {
  if (!waits) lock_opening();
  int32_t r = finish_opening(accept(fd, name, length));
  if (!waits) unlock_opening();
  if (r < 0) {
    errno = -r;
    return -1;
  }
  bs_set_blocking(r, 1); /* it has the listener's mode */
  return r;
}
#endif

int32_t bs_accept(int32_t fd, int32_t named, struct bs_io *io, double timeout) {
  int r;
  socklen_t length = 0, *room = named ? &length : NULL;
  void *name = named ? io->name : NULL;
  be_ready_for(fd, timeout);
#if defined(SOCK_CLOEXEC)
  RETRY(fd, POLLIN, timeout, (length = BS_NAME_MAX, accept4(fd, name, room, SOCK_CLOEXEC)), r)
#else
  RETRY(fd, POLLIN, timeout, (length = BS_NAME_MAX, accept_once(fd, name, room, timeout < 0)), r)
#endif
  set_name(io, named ? (int)length : 0);
  return r;
}

int32_t bs_connect(int32_t fd, const void *name, int32_t name_length, double timeout) {
  int64_t due = timeout > 0 ? due_after(timeout) : 0;
  be_ready_for(fd, timeout);
  for (;;) {
    if (connect(fd, name, (socklen_t)name_length) == 0) return 0;
    int error = errno;
    if (error == EINTR ? timeout == 0 : error != EINPROGRESS || timeout <= 0) return -error;
    /* It goes on in the kernel; calling it again would fail with EALREADY. */
    for (;;) {
      int ms = -1;
      if (timeout > 0) {
        int64_t now = now_ns();
        if (now >= due) return BS_TIMED_OUT;
        ms = ms_until(due, now);
      }
      struct pollfd p = {.fd = fd, .events = POLLOUT};
      int n = poll(&p, 1, ms);
      if (n < 0 && errno != EINTR) return -errno;
      if (n > 0) break;
    }
    int32_t failure;
    int32_t r = int_option(fd, SO_ERROR, &failure);
    if (r < 0) return r;
    if (failure != 0 && failure != EISCONN) return -failure;
    if (error == EINPROGRESS) return 0;
    /* An interrupted connect of AF_UNIX does not go on, and nobody says so: it is neither failed nor connected. */
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 || errno != ENOTCONN) return 0;
  }
}

int32_t bs_shutdown(int32_t fd, int32_t how) { return result(shutdown(fd, how)); }

int32_t bs_close(int32_t fd) {
  /* After EINTR the descriptor is closed already, and may be somebody else's: never a second call. A reset connection
   * is closed all the same. */
  return close(fd) < 0 && errno != EINTR && errno != ECONNRESET ? -errno : 0;
}

int32_t bs_dup(int32_t fd) { return result(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

/* ---- Descriptors and options ---- */

int32_t bs_set_blocking(int32_t fd, int32_t blocking) {
  int on = !blocking;
  return result(ioctl(fd, FIONBIO, &on));
}

int32_t bs_get_inheritable(int32_t fd) {
  int flags = fcntl(fd, F_GETFD);
  return flags < 0 ? -errno : !(flags & FD_CLOEXEC);
}

int32_t bs_set_inheritable(int32_t fd, int32_t inheritable) {
  int flags = fcntl(fd, F_GETFD);
  if (flags < 0) return -errno;
  return result(fcntl(fd, F_SETFD, inheritable ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC));
}

int32_t bs_getsockname(int32_t fd, struct bs_io *io) {
  socklen_t length = BS_NAME_MAX;
  if (getsockname(fd, (void *)io->name, &length) < 0) return -errno;
  set_name(io, (int)length);
  return 0;
}

int32_t bs_getpeername(int32_t fd, struct bs_io *io) {
  socklen_t length = BS_NAME_MAX;
  if (getpeername(fd, (void *)io->name, &length) < 0) return -errno;
  set_name(io, (int)length);
  return 0;
}

/* getsockopt(2), with a length in bytes always: Linux counts the instructions of a filter there, and would write eight
 * times as much. */
static int get_option(int fd, int level, int option, void *value, socklen_t *length) {
#if defined(SO_GET_FILTER)
  if (level == SOL_SOCKET && option == SO_GET_FILTER) {
    socklen_t room = *length / 8, instructions = room;
    int r = getsockopt(fd, level, option, value, &instructions);
    if (r == 0 && instructions > room) { /* without room it tells how much it would take */
      errno = EINVAL;
      return -1;
    }
    *length = instructions * 8;
    return r;
  }
#endif
  /* QEMU's emulator of programs writes a whole timeval, ucred or linger, also where there is room for a part of it. */
  char room[16] = {0};
  socklen_t size = *length;
  if (size >= sizeof room) return getsockopt(fd, level, option, value, length);
  int r = getsockopt(fd, level, option, room, length);
  if (r == 0) memcpy(value, room, *length < size ? *length : size);
  return r;
}

int32_t bs_getsockopt_int(int32_t fd, int32_t level, int32_t option, struct bs_io *io) {
  int value = 0;
  socklen_t length = sizeof value;
  if (get_option(fd, level, option, &value, &length) < 0) return -errno;
  io->name_length = value;
  return 0;
}

int32_t bs_getsockopt(int32_t fd, int32_t level, int32_t option, void *value, uint64_t length) {
  socklen_t n = (socklen_t)clamp(length);
  if (get_option(fd, level, option, value, &n) < 0) return -errno;
  /* Some options report the length that they would have liked. */
  return n > length ? (int32_t)length : (int32_t)n;
}

int32_t bs_setsockopt_int(int32_t fd, int32_t level, int32_t option, int32_t value) {
  int v = value;
  return result(setsockopt(fd, level, option, &v, sizeof v));
}

int32_t bs_setsockopt(int32_t fd, int32_t level, int32_t option, const void *value, uint64_t length) {
  return result(setsockopt(fd, level, option, value, (socklen_t)clamp(length)));
}

int32_t bs_setsockopt_null(int32_t fd, int32_t level, int32_t option, int32_t length) {
  return result(setsockopt(fd, level, option, NULL, (socklen_t)length));
}

int32_t bs_ioctl_int(int32_t fd, uint32_t request, int32_t value) { return result(ioctl(fd, request, (long)value)); }

int32_t bs_ioctl(int32_t fd, uint32_t request, void *argument, int32_t length) {
  (void)length; /* the request says it */
  return result(ioctl(fd, request, argument));
}

int32_t bs_share(int32_t fd, uint32_t pid, void *out, uint64_t length) {
  (void)fd, (void)pid, (void)out, (void)length;
  return -ENOSYS;
}

int32_t bs_fromshare(const void *info, uint64_t length, struct bs_io *io) {
  (void)info, (void)length, (void)io;
  return -ENOSYS;
}

/* ---- Data ---- */

int32_t bs_recv(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, double timeout) {
  ssize_t r;
  size_t n = at_most(length, max);
  flags = flags_for(flags, timeout);
  RETRY(fd, receivable(flags), timeout, recv(fd, data, n, flags), r)
  return (int32_t)r;
}

int32_t bs_recvfrom(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, struct bs_io *io,
                    double timeout) {
  ssize_t r;
  socklen_t name_length;
  size_t n = at_most(length, max);
  flags = flags_for(flags, timeout);
  RETRY(fd, receivable(flags), timeout,
        (name_length = BS_NAME_MAX, recvfrom(fd, data, n, flags, (void *)io->name, &name_length)), r)
  set_name(io, (int)name_length);
  return (int32_t)r;
}

#if defined(__linux__)
/* The family of a socket whose call said that it does not know a flag; AF_UNSPEC where the result says something else. */
static int family_that_refuses(int fd, ssize_t r) {
  if (r >= 0 || (errno != EOPNOTSUPP && errno != EINVAL)) return AF_UNSPEC;
  int error = errno, family = AF_UNSPEC;
  socklen_t length = sizeof family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  errno = error;
  return family;
}
#endif

/* Whether a send failed because the socket's family knows no MSG_NOSIGNAL: AF_RDS (EOPNOTSUPP) and AF_QIPCRTR (EINVAL)
 * refuse what they do not know, and send no SIGPIPE. */
static int refuses_no_signal(int fd, ssize_t sent) {
#if defined(__linux__)
  int family = family_that_refuses(fd, sent);
  return family == AF_RDS || family == AF_QIPCRTR;
#else
  (void)fd, (void)sent;
  return 0;
#endif
}

/* sendto(2), without SIGPIPE. */
static ssize_t send_to(int fd, const void *data, size_t length, int flags, const void *name, socklen_t name_length) {
  ssize_t r = sendto(fd, data, length, flags | NO_SIGNAL, name, name_length);
  return refuses_no_signal(fd, r) ? sendto(fd, data, length, flags, name, name_length) : r;
}

int32_t bs_send(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout) {
  ssize_t r;
  flags = flags_for(flags, timeout);
  RETRY(fd, POLLOUT, timeout, send_to(fd, data, (size_t)clamp(length), flags, NULL, 0), r)
  return (int32_t)r;
}

int32_t bs_sendall(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout) {
  const uint8_t *p = data;
  uint64_t left = length;
  struct waiting w = {timeout, timeout > 0 ? due_after(timeout) : 0, 0};
  flags = flags_for(flags, timeout);
  for (;;) { /* once at least: an empty datagram is one */
    ssize_t r = send_to(fd, p, (size_t)clamp(left), flags, NULL, 0);
    if (r < 0) {
      int32_t failed = wait_for(&w, fd, POLLOUT, errno);
      if (failed) return failed;
      continue;
    }
    p += r;
    left -= (uint64_t)r;
    w.woken = 0;
    if (left == 0) return 0;
    if (timeout > 0 && now_ns() >= w.due) return BS_TIMED_OUT;
  }
}

int32_t bs_sendto(int32_t fd, const void *data, uint64_t length, int32_t flags, const void *name, int32_t name_length,
                  double timeout) {
  ssize_t r;
  flags = flags_for(flags, timeout);
  RETRY(fd, POLLOUT, timeout, send_to(fd, data, (size_t)clamp(length), flags, name, (socklen_t)name_length), r)
  return (int32_t)r;
}

/* The slices as the system wants them; more than it takes is its own error. All of them together are no longer than a
 * result can say: Linux sees to that itself, macOS refuses them. */
static int32_t set_slices(struct msghdr *m, struct iovec *v, const struct bs_slice *slice, int32_t slices) {
  if (slices > SLICES_MAX) return -EMSGSIZE;
  size_t left = INT_MAX;
  for (int32_t i = 0; i < slices; i++) {
    v[i].iov_base = (void *)(uintptr_t)slice[i].address;
    v[i].iov_len = slice[i].length < left ? (size_t)slice[i].length : left;
    left -= v[i].iov_len;
  }
  m->msg_iov = v;
  m->msg_iovlen = slices;
  return 0;
}

#if MSG_CMSG_CLOEXEC == 0
/* Makes the descriptors in what was received not inheritable; a cut one at the end is none. */
static void close_received_on_exec(const char *control, size_t end) {
  size_t head = CMSG_LEN(0);
  struct cmsghdr h;
  for (size_t at = 0; at + head <= end; at += CMSG_SPACE((size_t)h.cmsg_len - head)) {
    memcpy(&h, control + at, sizeof h);
    if (h.cmsg_len < head) break;
    if (h.cmsg_len > end - at) h.cmsg_len = end - at;
    if (h.cmsg_level != SOL_SOCKET || h.cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = head; i + sizeof(int) <= h.cmsg_len; i += sizeof(int)) {
      int received;
      memcpy(&received, control + at + i, sizeof received);
      fcntl(received, F_SETFD, FD_CLOEXEC);
    }
  }
}
#endif

/* recvmsg(2); received descriptors are not inheritable. With a negative timeout it may wait. */
static ssize_t receive(int fd, struct msghdr *m, int flags, double timeout) {
#if MSG_CMSG_CLOEXEC != 0
  (void)timeout;
  ssize_t r = recvmsg(fd, m, flags | MSG_CMSG_CLOEXEC);
#if defined(__linux__)
  /* Sockets of some families (AF_PACKET, AF_PHONET, some of AF_CAN) refuse the flag; no descriptors come by them. Of these
   * three it is an error of the network that was told: it is told once. */
  int family = family_that_refuses(fd, r);
  int refuses = family != AF_UNSPEC && family != AF_INET && family != AF_INET6 && family != AF_UNIX;
  return refuses ? recvmsg(fd, m, flags) : r;
#else
  return r;
#endif
#else
  size_t room = m->msg_controllen;
  int locks = room > 0 && timeout >= 0;
  if (locks) lock_opening();
  ssize_t r = recvmsg(fd, m, flags);
  int error = errno;
  if (r >= 0 && room > 0) close_received_on_exec(m->msg_control, m->msg_controllen < room ? m->msg_controllen : room);
  if (locks) unlock_opening();
  errno = error;
  return r;
#endif
}

int32_t bs_recvmsg(int32_t fd, void *data, uint64_t length, int32_t max, const struct bs_slice *slice, int32_t slices,
                   void *control, uint64_t control_length, int32_t control_max, struct bs_item *item,
                   uint64_t items_length, int32_t flags, struct bs_io *io, double timeout) {
  struct msghdr m;
  struct iovec v[slices > 0 && slices <= SLICES_MAX ? slices : 1];
  memset(&m, 0, sizeof m); /* glibc and musl pad it differently */
  size_t room = at_most(control_length, control_max);
  if (slices > 0) {
    int32_t failed = set_slices(&m, v, slice, slices);
    if (failed) return failed;
  } else {
    v[0].iov_base = data;
    v[0].iov_len = at_most(length, max);
    m.msg_iov = v;
    m.msg_iovlen = 1;
  }
  ssize_t r;
  int32_t mode = flags_for(flags, timeout);
  RETRY(fd, receivable(flags), timeout,
        (m.msg_name = io->name, m.msg_namelen = BS_NAME_MAX, m.msg_control = room ? control : NULL,
         m.msg_controllen = room, m.msg_flags = 0, receive(fd, &m, mode, timeout)),
        r)
  set_name(io, (int)m.msg_namelen);
  /* Linux hands the flag back; who did not ask for it must not see it. */
  io->flags = flags & MSG_CMSG_CLOEXEC ? m.msg_flags : m.msg_flags & ~MSG_CMSG_CLOEXEC;
  io->items = 0;
  io->malformed = 0;
  size_t end = m.msg_controllen < room ? m.msg_controllen : room;
  size_t head = CMSG_LEN(0);
  for (size_t at = 0; at + head <= end && (io->items + 1) * sizeof *item <= items_length;) {
    struct cmsghdr h;
    memcpy(&h, (char *)control + at, sizeof h);
    if (h.cmsg_len < head) {
      io->malformed = 1;
      break;
    }
    size_t n = h.cmsg_len - head;
    if (n > end - at - head) {
      n = end - at - head;
      io->malformed = 1;
    }
    item[io->items++] = (struct bs_item){h.cmsg_level, h.cmsg_type, (int32_t)(at + head), (int32_t)n};
    at += CMSG_SPACE(n);
  }
  return (int32_t)r;
}

/* sendmsg(2). musl's own copies the control messages and refuses those that are longer than its copy (1024 bytes); the
 * call is the system's, whichever C library is there. */
static ssize_t send_message_once(int fd, const struct msghdr *m, int flags) {
#if defined(SYS_sendmsg) && defined(__linux__)
  return syscall(SYS_sendmsg, fd, m, flags);
#else
  return sendmsg(fd, m, flags);
#endif
}

/* sendmsg(2), without SIGPIPE. */
static ssize_t send_message(int fd, const struct msghdr *m, int flags) {
  ssize_t r = send_message_once(fd, m, flags | NO_SIGNAL);
  return refuses_no_signal(fd, r) ? send_message_once(fd, m, flags) : r;
}

int32_t bs_sendmsg(int32_t fd, const void *data, uint64_t length, const struct bs_slice *slice, int32_t slices,
                   const void *records, int32_t records_length, void *control, uint64_t control_length, int32_t flags,
                   const void *name, int32_t name_length, double timeout) {
  struct msghdr m;
  struct iovec v[slices > 0 && slices <= SLICES_MAX ? slices : 1];
  memset(&m, 0, sizeof m);
  if (slices > 0) {
    int32_t failed = set_slices(&m, v, slice, slices);
    if (failed) return failed;
  } else {
    v[0].iov_base = (void *)data;
    v[0].iov_len = (size_t)clamp(length);
    m.msg_iov = v;
    m.msg_iovlen = 1;
  }
  const char *p = records, *last = p + records_length;
  size_t at = 0;
  while (last - p >= 12) {
    int32_t head[3]; /* level, type, length */
    memcpy(head, p, sizeof head);
    p += sizeof head;
    size_t space = CMSG_SPACE((size_t)head[2]);
    if (head[2] < 0 || head[2] > last - p || space > control_length - at) return -EINVAL;
    struct cmsghdr *h = (struct cmsghdr *)((char *)control + at);
    memset(h, 0, space);
    h->cmsg_len = CMSG_LEN((size_t)head[2]);
    h->cmsg_level = head[0];
    h->cmsg_type = head[1];
    memcpy(CMSG_DATA(h), p, (size_t)head[2]);
    p += (head[2] + 3) & ~3;
    at += space;
  }
  m.msg_control = at ? control : NULL;
  m.msg_controllen = at;
  m.msg_name = name_length ? (void *)name : NULL;
  m.msg_namelen = (socklen_t)name_length;
  ssize_t r;
  flags = flags_for(flags, timeout);
  RETRY(fd, POLLOUT, timeout, send_message(fd, &m, flags), r)
  return (int32_t)r;
}

#include "batch.h"

#if BS_SENDFILE == BS_SENDFILE_LINUX
static ssize_t send_file(int fd, int file, off_t offset, size_t count) { return sendfile(fd, file, &offset, count); }
#elif BS_SENDFILE == BS_SENDFILE_MACOS || BS_SENDFILE == BS_SENDFILE_FREEBSD
/* Those that report 0 or -1, and apart from it what was sent: a part that was sent before an error is a success. */
static ssize_t send_file(int fd, int file, off_t offset, size_t count) {
  off_t sent = 0;
#if BS_SENDFILE == BS_SENDFILE_MACOS
  sent = (off_t)count;
  int r = sendfile(file, fd, offset, &sent, NULL, 0);
  if (r < 0 && errno != EAGAIN && errno != EINTR) sent = 0; /* it may be the count still, as it was given */
#else
  int r = sendfile(file, fd, offset, count, NULL, &sent, 0);
#endif
  return r == 0 || sent > 0 ? (ssize_t)sent : -1;
}
#else
static ssize_t send_file(int fd, int file, off_t offset, size_t count) {
  (void)fd, (void)file, (void)offset, (void)count;
  errno = ENOSYS;
  return -1;
}
#endif

int32_t bs_sendfile(int32_t fd, int32_t file, double offset, int32_t count, double timeout) {
  if (count <= 0) return 0; /* to macOS and FreeBSD 0 is all of the file */
  ssize_t r;
  be_ready_for(fd, timeout);
  RETRY(fd, POLLOUT, timeout, send_file(fd, file, (off_t)offset, (size_t)count), r)
  return (int32_t)r;
}

int32_t bs_seek(int32_t file, double offset) { return lseek(file, (off_t)offset, SEEK_SET) < 0 ? -errno : 0; }

int32_t bs_clock_gettime(int32_t clock, int64_t *time) {
  struct timespec t;
  if (clock_gettime((clockid_t)clock, &t) < 0) return -errno;
  time[0] = t.tv_sec;
  time[1] = t.tv_nsec;
  return 0;
}

int32_t bs_cmsg_len(int32_t length) { return (int32_t)CMSG_LEN((size_t)length); }

int32_t bs_cmsg_space(int32_t length) { return (int32_t)CMSG_SPACE((size_t)length); }

/* ---- Memory that the kernel has too ---- */

struct mapping {
  void *memory;
  size_t length;
  int views; /* of JavaScript's */
};

/* The engine frees a view, on whatever thread it likes. */
static void view_gone(void *memory, void *mapping) {
  (void)memory;
  struct mapping *m = mapping;
  if (__atomic_sub_fetch(&m->views, 1, __ATOMIC_ACQ_REL) > 0) return;
  munmap(m->memory, m->length);
  free(m);
}

int32_t bs_map(int32_t fd, double offset, double length, uint64_t *out) {
  struct mapping *m = calloc(1, sizeof *m);
  if (!m) return -ENOMEM;
  m->length = (size_t)length;
  m->views = 1;
  m->memory = mmap(NULL, m->length, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANON : MAP_SHARED, fd,
                   (off_t)offset);
  if (m->memory == MAP_FAILED) {
    int error = errno;
    free(m);
    return -error;
  }
  out[0] = (uint64_t)(uintptr_t)m;
  out[1] = (uint64_t)(uintptr_t)m->memory;
  out[2] = (uint64_t)(uintptr_t)view_gone;
  return 0;
}

int32_t bs_map_view(void *mapping) {
  struct mapping *m = mapping;
  return __atomic_add_fetch(&m->views, 1, __ATOMIC_RELAXED);
}

int32_t bs_bpf(int32_t command, void *attribute, uint64_t length) {
#if defined(__linux__)
  return result((int)syscall(SYS_bpf, command, attribute, (unsigned)clamp(length)));
#else
  (void)command, (void)attribute, (void)length;
  return -ENOSYS;
#endif
}

/* ---- Names ---- */

/* The reason that a resolver left in errno; some leave none, and a failure shall not look like a success. */
static int32_t reason(void) { return errno ? -errno : -EIO; }

static int32_t resolver_failed(int failure, int32_t *out) {
  if (failure == EAI_SYSTEM) return reason();
  *out = failure;
  return -1;
}

int32_t bs_getaddrinfo(const char *host, const char *service, int32_t family, int32_t type, int32_t protocol,
                       int32_t flags, void *out, uint64_t length, int32_t *failure) {
  struct addrinfo hints, *list = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family;
  hints.ai_socktype = type;
  hints.ai_protocol = protocol;
  hints.ai_flags = flags;
  *failure = 0;
  int failed = getaddrinfo(host, service, &hints, &list);
  if (failed) return resolver_failed(failed, failure);
  struct writer w = {out, length, 0};
  for (struct addrinfo *a = list; a; a = a->ai_next) {
    size_t canonical = a->ai_canonname ? strlen(a->ai_canonname) : 0;
    put_int(&w, a->ai_family);
    put_int(&w, a->ai_socktype);
    put_int(&w, a->ai_protocol);
    put_int(&w, (int32_t)a->ai_addrlen);
    put_int(&w, (int32_t)canonical);
    put(&w, a->ai_addr, a->ai_addrlen);
    put(&w, a->ai_canonname, canonical);
  }
  freeaddrinfo(list);
  return (int32_t)w.at;
}

int32_t bs_getnameinfo(const void *name, int32_t name_length, int32_t flags, void *out, uint64_t length,
                       int32_t *failure) {
  char host[1025], service[32]; /* NI_MAXHOST, NI_MAXSERV */
  *failure = 0;
  int failed = getnameinfo(name, (socklen_t)name_length, host, sizeof host, service, sizeof service, flags);
  if (failed) return resolver_failed(failed, failure);
  size_t h = strlen(host) + 1, s = strlen(service) + 1;
  if (h + s <= length) {
    memcpy(out, host, h);
    memcpy((char *)out + h, service, s);
  }
  return (int32_t)(h + s);
}

/* The databases below are read by functions with one static result for the whole process (macOS: for the thread, but
 * the rule costs nothing there). Our own threads take turns; who holds the lock may be waiting for a server. */
static char locked;

static void lock(void) {
  while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE)) poll(NULL, 0, 1);
}

static void unlock(void) { __atomic_clear(&locked, __ATOMIC_RELEASE); }

static void put_name(struct writer *w, const char *name) {
  size_t n = strlen(name);
  put_int(w, 0);
  put_int(w, (int32_t)n);
  put(w, name, n);
}

static int32_t put_host(const struct hostent *h, void *out, uint64_t length, int32_t *failure) {
  if (!h) {
    *failure = h_errno;
    /* NETDB_INTERNAL: the reason is in errno. */
    return *failure == -1 ? reason() : -1;
  }
  struct writer w = {out, length, 0};
  put_name(&w, h->h_name);
  for (char **alias = h->h_aliases; alias && *alias; alias++) put_name(&w, *alias);
  for (char **address = h->h_addr_list; address && *address; address++) {
    put_int(&w, h->h_addrtype);
    put_int(&w, h->h_length);
    put(&w, *address, (size_t)h->h_length);
  }
  return (int32_t)w.at;
}

int32_t bs_gethostbyname(const char *host, void *out, uint64_t length, int32_t *failure) {
  *failure = 0;
  lock();
  int32_t r = put_host(gethostbyname(host), out, length, failure);
  unlock();
  return r;
}

int32_t bs_gethostbyaddr(const void *address, int32_t address_length, int32_t family, void *out, uint64_t length,
                         int32_t *failure) {
  *failure = 0;
  lock();
  int32_t r = put_host(gethostbyaddr(address, (socklen_t)address_length, family), out, length, failure);
  unlock();
  return r;
}

int32_t bs_getservbyname(const char *service, const char *protocol) {
  lock();
  struct servent *s = getservbyname(service, protocol);
  int32_t r = s ? ntohs((uint16_t)s->s_port) : -ENOENT;
  unlock();
  return r;
}

int32_t bs_getservbyport(int32_t port, const char *protocol, void *out, uint64_t length) {
  lock();
  struct servent *s = getservbyport(htons((uint16_t)port), protocol);
  int32_t r = -ENOENT;
  if (s) {
    size_t n = strlen(s->s_name);
    if (n <= length) memcpy(out, s->s_name, n);
    r = (int32_t)n;
  }
  unlock();
  return r;
}

int32_t bs_getprotobyname(const char *protocol) {
  lock();
  struct protoent *p = getprotobyname(protocol);
  int32_t r = p ? p->p_proto : -ENOENT;
  unlock();
  return r;
}

int32_t bs_gethostname(void *out, uint64_t length) {
  if (length == 0) return -EINVAL;
  if (gethostname(out, (size_t)length) < 0) return -errno;
  ((char *)out)[length - 1] = 0; /* POSIX does not promise it when the name was cut */
  return (int32_t)strlen(out);
}

int32_t bs_sethostname(const void *name, uint64_t length) { return result(sethostname(name, (size_t)clamp(length))); }

int32_t bs_if_nameindex(void *out, uint64_t length) {
  struct if_nameindex *list = if_nameindex();
  if (!list) return -errno;
  struct writer w = {out, length, 0};
  for (struct if_nameindex *i = list; i->if_index; i++) {
    size_t n = strlen(i->if_name);
    put_int(&w, (int32_t)i->if_index);
    put_int(&w, (int32_t)n);
    put(&w, i->if_name, n);
  }
  if_freenameindex(list);
  return (int32_t)w.at;
}

int32_t bs_if_nametoindex(const char *name) {
  errno = ENODEV; /* some systems say 0 and no more */
  unsigned index = if_nametoindex(name);
  return index ? (int32_t)index : -errno;
}

int32_t bs_if_indextoname(uint32_t index, void *out, uint64_t length) {
  if (length < IF_NAMESIZE) return -EINVAL;
  errno = ENXIO;
  return if_indextoname(index, out) ? (int32_t)strlen(out) : -errno;
}

int32_t bs_inet_pton(int32_t version, const char *text, void *address) {
  return result(inet_pton(version == 4 ? AF_INET : AF_INET6, text, address));
}

int32_t bs_inet_ntop(int32_t version, const void *address, void *out, uint64_t length) {
  return inet_ntop(version == 4 ? AF_INET : AF_INET6, address, out, (socklen_t)length) ? (int32_t)strlen(out) : -errno;
}

int32_t bs_inet_aton(const char *text, void *address) {
  struct in_addr a;
  if (!inet_aton(text, &a)) return 0;
  memcpy(address, &a, sizeof a);
  return 1;
}

/* ---- Waiting ---- */

int32_t bs_poll(int32_t fd, int32_t events, double timeout) {
  struct pollfd p = {.fd = fd};
  p.events = (short)((events & BS_READABLE ? POLLIN : 0) | (events & BS_WRITABLE ? POLLOUT : 0) |
                     (events & BS_URGENT ? POLLPRI : 0));
  int64_t due = timeout > 0 ? due_after(timeout) : 0;
  for (;;) {
    int64_t now = timeout > 0 ? now_ns() : 0;
    int ms = timeout < 0 ? -1 : due > now ? ms_until(due, now) : 0;
    int n = poll(&p, 1, ms);
    if (n < 0 && errno != EINTR) return -errno;
    if (n == 0 && ms == 0) return BS_TIMED_OUT;
    if (n <= 0) continue;
    if (p.revents & POLLNVAL) return -EBADF;
    return (p.revents & POLLIN ? BS_READABLE : 0) | (p.revents & POLLOUT ? BS_WRITABLE : 0) |
           (p.revents & POLLPRI ? BS_URGENT : 0) | (p.revents & (POLLERR | POLLHUP) ? BS_FAILED : 0);
  }
}

#include "poller.h"

/* ---- Texts of errors ---- */

static int32_t put_text(const char *text, void *out, uint64_t length) {
  size_t n = strlen(text);
  if (n > length) n = (size_t)length;
  memcpy(out, text, n);
  return (int32_t)n;
}

int32_t bs_strerror(int32_t error, void *out, uint64_t length) { return put_text(strerror(error), out, length); }

int32_t bs_gai_strerror(int32_t failure, void *out, uint64_t length) {
  return put_text(gai_strerror(failure), out, length);
}

int32_t bs_hstrerror(int32_t failure, void *out, uint64_t length) {
  return put_text(hstrerror(failure), out, length);
}
