/* Forced into shim/posix.c (cc -include) to build on Linux what it does on macOS: without flags that make descriptors
 * close on exec or keep SIGPIPE away, with its sendfile, and with its accept. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef MSG_CMSG_CLOEXEC
#undef MSG_NOSIGNAL
#undef MSG_WAITFORONE

/* An option that Linux has for every socket and that changes nothing here stands for macOS's, so that a test sees it. */
#define SO_NOSIGPIPE SO_NO_CHECK

/* MSG_NOSIGNAL, where the socket was told SO_NOSIGPIPE. */
static inline int quietly(int fd) {
  int on = 0;
  socklen_t length = sizeof on;
  return getsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, &length) == 0 && on ? 0x4000 : 0;
}
#define send(fd, data, length, flags) send(fd, data, length, (flags) | quietly(fd))
#define sendto(fd, data, length, flags, name, size) sendto(fd, data, length, (flags) | quietly(fd), name, size)
#define syscall(number, fd, message, flags) sendmsg(fd, message, (flags) | quietly(fd))

/* The moment in which a descriptor is inheritable is made long. */
static inline int slow(int r) {
  int error = errno;
  usleep(200);
  errno = error;
  return r;
}

static inline int slow_socket(int family, int type, int protocol) { return slow(socket(family, type, protocol)); }
#define socket slow_socket

static inline int slow_socketpair(int family, int type, int protocol, int *pair) {
  return slow(socketpair(family, type, protocol, pair));
}
#define socketpair slow_socketpair

/* A new socket is non-blocking where the listener is. */
static inline int inheriting_accept(int fd, struct sockaddr *name, socklen_t *length) {
  int r = slow(accept(fd, name, length)), error = errno;
  if (r >= 0) fcntl(r, F_SETFL, fcntl(r, F_GETFL) | (fcntl(fd, F_GETFL) & O_NONBLOCK));
  errno = error;
  return r;
}
#define accept inheriting_accept

static inline ssize_t slow_recvmsg(int fd, struct msghdr *m, int flags) {
  ssize_t r = recvmsg(fd, m, flags);
  struct cmsghdr *c = r < 0 ? NULL : CMSG_FIRSTHDR(m);
  return c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? slow((int)r) : r;
}
#define recvmsg slow_recvmsg

/* sendfile(2) of macOS: 0 or -1, and the count in *length, which it leaves alone where it fails at once. */
static inline int macos_sendfile(int file, int fd, off_t offset, off_t *length, void *headers, int flags) {
  (void)headers, (void)flags;
  off_t sent = 0;
  while (*length == 0 || sent < *length) {
    ssize_t r = sendfile(fd, file, &offset, *length == 0 ? 1 << 20 : (size_t)(*length - sent));
    if (r == 0) break;
    if (r < 0) {
      if (errno == EAGAIN || errno == EINTR) *length = sent;
      return -1;
    }
    sent += r;
  }
  *length = sent;
  return 0;
}
/* FreeBSD's: the count to send is a value, and *sent is written in every case. */
static inline int freebsd_sendfile(int file, int fd, off_t offset, size_t length, void *headers, off_t *sent, int flags) {
  off_t count = (off_t)length;
  int r = macos_sendfile(file, fd, offset, &count, headers, flags);
  *sent = r == 0 || errno == EAGAIN || errno == EINTR ? count : 0;
  return r;
}
#if BS_SENDFILE == 3
#define sendfile freebsd_sendfile
#else
#define sendfile macos_sendfile
#endif

/* glibc has pthread_atfork in a static library only. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *handle);
#define pthread_atfork(prepare, parent, child) __register_atfork(prepare, parent, child, NULL)
