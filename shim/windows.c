/*
 * The shim for Windows: Winsock without a C runtime. shim.h tells what each function promises.
 *
 * errno is the WSA number here. A descriptor is a SOCKET as i32: that loses nothing, for Windows keeps handles within 32
 * significant bits so that 32-bit and 64-bit processes can share them (Microsoft: Interprocess Communication Between
 * 32-bit and 64-bit Applications). One above INT32_MAX, which would look like an error, is closed and refused.
 */
#define WIN32_LEAN_AND_MEAN
#include "shim.h"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include <mswsock.h>

/* No function's locals fill a page: more would need the C runtime's stack probe. */
enum {
  SLICES_MAX = 1024, /* as elsewhere; Winsock has no limit of its own */
  SLICES_FEW = 16,   /* more of them lie on the heap */
  NAME_CHARS = 512,  /* a name of DNS has 255 characters at most, an interface's 256 */
  SERVICE_CHARS = 128,
  CONTROL_BYTES = 1024, /* more than the control messages of any datagram */
  TEXT_CHARS = 512,
};

/* What Winsock has no number for: the C runtime's. */
enum { BS_EPERM = 1, BS_ENOENT = 2, BS_ENXIO = 6, BS_EEXIST = 17, BS_ENODEV = 19, BS_EPIPE = 32 };

/* ---- What the compiler expects of a C library ---- */

BOOL WINAPI _DllMainCRTStartup(HINSTANCE library, DWORD reason, LPVOID reserved);
BOOL WINAPI _DllMainCRTStartup(HINSTANCE library, DWORD reason, LPVOID reserved) {
  (void)library, (void)reason, (void)reserved;
  return TRUE;
}

/* no_builtin: or the compiler would see what the loop does, and make it a call of the function itself. */
__attribute__((no_builtin)) void *memset(void *to, int value, size_t n) {
  for (unsigned char *p = to; n > 0; n--) *p++ = (unsigned char)value;
  return to;
}

__attribute__((no_builtin)) void *memcpy(void *to, const void *from, size_t n) {
  const unsigned char *q = from;
  for (unsigned char *p = to; n > 0; n--) *p++ = *q++;
  return to;
}

__attribute__((no_builtin)) static size_t length_of(const char *text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

#include "common.h"

/* ---- Descriptors and errors ---- */

static SOCKET socket_of(int32_t fd) { return fd < 0 ? INVALID_SOCKET : (SOCKET)(uint32_t)fd; }

/* Not the handle -1, which is this process. */
static HANDLE handle_of(int32_t fd) { return fd < 0 ? NULL : (HANDLE)socket_of(fd); }

/* The number of an error as the constants have it: some calls of Winsock leave one of the system below. */
static int32_t number_of(DWORD error) {
  switch (error) {
  case ERROR_FILE_NOT_FOUND:
  case ERROR_PATH_NOT_FOUND:
  case ERROR_NOT_FOUND: return BS_ENOENT;
  case ERROR_TOO_MANY_OPEN_FILES: return WSAEMFILE;
  case ERROR_ACCESS_DENIED: return WSAEACCES;
  case ERROR_INVALID_HANDLE: return WSAEBADF;
  case ERROR_OUTOFMEMORY: return WSA_NOT_ENOUGH_MEMORY;
  case ERROR_INVALID_FUNCTION:
  case ERROR_NOT_SUPPORTED:
  case ERROR_CALL_NOT_IMPLEMENTED: return WSAEOPNOTSUPP;
  case ERROR_NETNAME_DELETED:
  case ERROR_PORT_UNREACHABLE: return WSAECONNRESET;
  case ERROR_INVALID_PARAMETER:
  case ERROR_INSUFFICIENT_BUFFER: return WSAEINVAL;
  case ERROR_MORE_DATA: return WSAEMSGSIZE;
  case ERROR_OPERATION_ABORTED: return WSAECANCELLED;
  case ERROR_CONNECTION_REFUSED: return WSAECONNREFUSED;
  case ERROR_NETWORK_UNREACHABLE: return WSAENETUNREACH;
  case ERROR_HOST_UNREACHABLE: return WSAEHOSTUNREACH;
  case ERROR_CONNECTION_ABORTED: return WSAECONNABORTED;
  /* A failure shall not look like a success. */
  default: return error > 0 && error <= INT32_MAX ? (int32_t)error : WSAEINVAL;
  }
}

/* The negative result for `error` of a call on `fd`. */
static int32_t negative(int32_t fd, int error) {
  if (fd < 0) return -WSAEBADF;
  /* To Winsock what is no handle at all is no socket either. */
  DWORD flags;
  if (error == WSAENOTSOCK && !GetHandleInformation(handle_of(fd), &flags)) error = WSAEBADF;
  return -number_of((DWORD)error);
}

/* The negative result for the call on `fd` that just failed. */
static int32_t failed(int32_t fd) { return negative(fd, WSAGetLastError()); }

static int32_t result(int32_t fd, int r) { return r == SOCKET_ERROR ? failed(fd) : r; }

/* A new socket as a descriptor. */
static int32_t descriptor_of(SOCKET s) {
  if (s == INVALID_SOCKET) return -number_of((DWORD)WSAGetLastError());
  if (s > INT32_MAX) {
    closesocket(s);
    return -WSAEMFILE;
  }
  /* What accept and WSADuplicateSocket make is not asked whether it shall be inherited. */
  SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, 0);
  return (int32_t)s;
}

/* Winsock leaves the name of a stream's sender as it was: without a family there is none. */
static void set_sender(struct bs_io *io, int length) {
  set_name(io, io->name[0] || io->name[1] ? length : 0);
}

int32_t bs_start(void) {
  WSADATA data;
  int error = WSAStartup(MAKEWORD(2, 2), &data);
  return error ? -number_of((DWORD)error) : BS_VERSION;
}

/* ---- Waiting ---- */

static int64_t now_ns(void) {
  LARGE_INTEGER frequency, count;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&count);
  int64_t f = frequency.QuadPart, c = count.QuadPart;
  return c / f * 1000000000 + c % f * 1000000000 / f;
}

/* After a call failed with `error`: 0 to try again, or the negative result to return. */
static int32_t wait_for(struct waiting *w, int32_t fd, short events, int error) {
  if (w->timeout <= 0 || error != WSAEWOULDBLOCK) return negative(fd, error);
  if (w->due == 0) w->due = due_after(w->timeout);
  /* Readiness that the call does not confirm comes back at once each time: a short sleep keeps it from taking the whole
   * processor. */
  if (w->woken) Sleep(1);
  for (;;) {
    int64_t now = now_ns();
    if (now >= w->due) return BS_TIMED_OUT;
    WSAPOLLFD p = {.fd = socket_of(fd), .events = events};
    int n = WSAPoll(&p, 1, ms_until(w->due, now));
    if (n > 0) {
      w->woken = 1;
      return 0;
    }
    if (n < 0) return failed(fd);
  }
}

/* `call` until it succeeds, fails or its time is up; leaves its result in `r`. */
#define RETRY(fd, events, timeout, call, r)                                                                            \
  struct waiting w = {(timeout), 0, 0};                                                                                \
  while ((r = (call)) < 0) {                                                                                           \
    int32_t failure = wait_for(&w, (fd), (events), WSAGetLastError());                                                 \
    if (failure) return failure;                                                                                       \
  }

/* What to wait for before a receive. WSAPoll takes no POLLPRI. */
static short receivable(int32_t flags) { return flags & MSG_OOB ? POLLRDBAND : POLLRDNORM; }

/* ---- A socket's life ---- */

enum { SOCKET_FLAGS = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT };

int32_t bs_socket(int32_t family, int32_t type, int32_t protocol) {
  return descriptor_of(WSASocketW(family, type, protocol, NULL, 0, SOCKET_FLAGS));
}

int32_t bs_socketpair(int32_t family, int32_t type, int32_t protocol, struct bs_io *io) {
  (void)family, (void)type, (void)protocol, (void)io;
  return -WSAEOPNOTSUPP;
}

int32_t bs_describe(int32_t fd, int32_t want, struct bs_io *io) {
  (void)want; /* one call tells all three */
  WSAPROTOCOL_INFOW info;
  int length = sizeof info;
  if (getsockopt(socket_of(fd), SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length) < 0) return failed(fd);
  io->name_length = info.iAddressFamily;
  io->flags = info.iSocketType;
  io->items = info.iProtocol;
  return 0;
}

int32_t bs_bind(int32_t fd, const void *name, int32_t name_length) {
  return result(fd, bind(socket_of(fd), name, name_length));
}

int32_t bs_listen(int32_t fd, int32_t backlog) { return result(fd, listen(socket_of(fd), backlog)); }

int32_t bs_set_blocking(int32_t fd, int32_t blocking) {
  u_long on = !blocking;
  return result(fd, ioctlsocket(socket_of(fd), FIONBIO, &on));
}

static int64_t accepted(int32_t fd, void *name, int *length) {
  SOCKET s = accept(socket_of(fd), name, length);
  return s == INVALID_SOCKET ? -1 : (int64_t)s;
}

int32_t bs_accept(int32_t fd, int32_t named, struct bs_io *io, double timeout) {
  int64_t s;
  int length = 0;
  memset(io->name, 0, BS_NAME_MAX);
  RETRY(fd, POLLRDNORM, timeout,
        (length = BS_NAME_MAX, accepted(fd, named ? io->name : NULL, named ? &length : NULL)), s)
  int32_t r = descriptor_of((SOCKET)s);
  if (r < 0) return r;
  bs_set_blocking(r, 1); /* Windows passes the listener's mode on */
  set_name(io, named ? length : 0);
  return r;
}

static int32_t int_option(int32_t fd, int option, int *value) {
  int length = sizeof *value;
  *value = 0;
  return result(fd, getsockopt(socket_of(fd), SOL_SOCKET, option, (char *)value, &length));
}

int32_t bs_connect(int32_t fd, const void *name, int32_t name_length, double timeout) {
  SOCKET s = socket_of(fd);
  int64_t due = timeout > 0 ? due_after(timeout) : 0;
  if (connect(s, name, name_length) == 0) return 0;
  int error = WSAGetLastError();
  if (error != WSAEWOULDBLOCK) return negative(fd, error);
  if (timeout <= 0) return -WSAEINPROGRESS; /* what the others call it: the connection is under way */
  for (;;) {
    int64_t now = now_ns();
    if (now >= due) return BS_TIMED_OUT;
    int ms = ms_until(due, now);
    /* Not WSAPoll: before Windows 10 2004 it never reported that a connect failed. select does, as an exception. */
    fd_set writable = {.fd_count = 1, .fd_array = {s}}, failing = writable;
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    int n = select(0, NULL, &writable, &failing, &t);
    if (n < 0) return failed(fd);
    if (n == 0) continue;
    int failure;
    int32_t r = int_option(fd, SO_ERROR, &failure);
    if (r < 0) return r;
    if (failure) return negative(fd, failure);
    return failing.fd_count ? -WSAENOTCONN : 0;
  }
}

int32_t bs_shutdown(int32_t fd, int32_t how) { return result(fd, shutdown(socket_of(fd), how)); }

int32_t bs_close(int32_t fd) {
  int32_t r = result(fd, closesocket(socket_of(fd)));
  /* A socket that lingers and is non-blocking stays open. On the other systems it lingers all the same. */
  if (r == -WSAEWOULDBLOCK && bs_set_blocking(fd, 1) == 0) r = result(fd, closesocket(socket_of(fd)));
  /* A reset connection is closed all the same. */
  return r == -WSAECONNRESET ? 0 : r;
}

/* A socket from what WSADuplicateSocketW wrote. */
static int32_t open_shared(WSAPROTOCOL_INFOW *info) {
  return descriptor_of(
      WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, info, 0, SOCKET_FLAGS));
}

int32_t bs_dup(int32_t fd) {
  WSAPROTOCOL_INFOW info;
  if (WSADuplicateSocketW(socket_of(fd), GetCurrentProcessId(), &info) < 0) return failed(fd);
  return open_shared(&info);
}

int32_t bs_share(int32_t fd, uint32_t pid, void *out, uint64_t length) {
  WSAPROTOCOL_INFOW info;
  if (length < sizeof info) return -WSAEINVAL;
  if (WSADuplicateSocketW(socket_of(fd), pid, &info) < 0) return failed(fd);
  memcpy(out, &info, sizeof info);
  return sizeof info;
}

int32_t bs_fromshare(const void *shared, uint64_t length, struct bs_io *io) {
  WSAPROTOCOL_INFOW info;
  if (length != sizeof info) return -WSAEINVAL;
  memcpy(&info, shared, sizeof info);
  int32_t fd = open_shared(&info);
  if (fd < 0) return fd;
  int32_t r = bs_describe(fd, 7, io);
  if (r < 0) {
    bs_close(fd);
    return r;
  }
  return fd;
}

/* ---- Descriptors and options ---- */

/* The result of a call that is none of Winsock's. */
static int32_t handled(int32_t fd, BOOL done, int32_t r) { return done ? r : negative(fd, (int)GetLastError()); }

int32_t bs_get_inheritable(int32_t fd) {
  DWORD flags = 0;
  BOOL done = GetHandleInformation(handle_of(fd), &flags);
  return handled(fd, done, flags & HANDLE_FLAG_INHERIT ? 1 : 0);
}

int32_t bs_set_inheritable(int32_t fd, int32_t inheritable) {
  DWORD flag = inheritable ? HANDLE_FLAG_INHERIT : 0;
  return handled(fd, SetHandleInformation(handle_of(fd), HANDLE_FLAG_INHERIT, flag), 0);
}

int32_t bs_getsockname(int32_t fd, struct bs_io *io) {
  int length = BS_NAME_MAX;
  if (getsockname(socket_of(fd), (void *)io->name, &length) < 0) return failed(fd);
  set_name(io, length);
  return 0;
}

int32_t bs_getpeername(int32_t fd, struct bs_io *io) {
  int length = BS_NAME_MAX;
  if (getpeername(socket_of(fd), (void *)io->name, &length) < 0) return failed(fd);
  set_name(io, length);
  return 0;
}

int32_t bs_getsockopt_int(int32_t fd, int32_t level, int32_t option, struct bs_io *io) {
  int value = 0, length = sizeof value; /* some options write one byte of it */
  if (getsockopt(socket_of(fd), level, option, (char *)&value, &length) < 0) return failed(fd);
  io->name_length = value;
  return 0;
}

int32_t bs_getsockopt(int32_t fd, int32_t level, int32_t option, void *value, uint64_t length) {
  int room = clamp(length), n = room;
  if (getsockopt(socket_of(fd), level, option, value, &n) < 0) return failed(fd);
  return n > room ? room : n;
}

static int32_t set_option(int32_t fd, int32_t level, int32_t option, const void *value, int length) {
  if (fd < 0) return -WSAEBADF; /* an option that does nothing (SO_DEBUG) may be set on what is no socket */
  return result(fd, setsockopt(socket_of(fd), level, option, value, length));
}

int32_t bs_setsockopt_int(int32_t fd, int32_t level, int32_t option, int32_t value) {
  return set_option(fd, level, option, &value, sizeof value);
}

int32_t bs_setsockopt(int32_t fd, int32_t level, int32_t option, const void *value, uint64_t length) {
  return set_option(fd, level, option, value, clamp(length));
}

int32_t bs_setsockopt_null(int32_t fd, int32_t level, int32_t option, int32_t length) {
  return set_option(fd, level, option, NULL, length);
}

int32_t bs_ioctl_int(int32_t fd, uint32_t request, int32_t value) {
  DWORD written = 0;
  if (WSAIoctl(socket_of(fd), request, &value, sizeof value, NULL, 0, &written, NULL, NULL) < 0) return failed(fd);
  return (int32_t)written;
}

int32_t bs_ioctl(int32_t fd, uint32_t request, void *argument, int32_t length) {
  DWORD written = 0, n = (DWORD)length, in = request & IOC_IN ? n : 0;
  void *given = in ? argument : NULL;
  /* What only tells gets nothing. The other way the numbers cannot be trusted: SIO_GET_TX_TIMESTAMP, say, is none of
   * IOC_OUT. */
  if (WSAIoctl(socket_of(fd), request, given, in, argument, n, &written, NULL, NULL) < 0) return failed(fd);
  return (int32_t)written;
}

/* ---- Data ---- */

/* A datagram longer than its buffer is an error to Winsock, which has filled the buffer all the same: what fitted is
 * received, as everywhere else. */
static int what_fitted(int r, size_t n) {
  return r == SOCKET_ERROR && WSAGetLastError() == WSAEMSGSIZE ? (int)n : r;
}

int32_t bs_recv(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, double timeout) {
  int r;
  size_t n = at_most(length, max);
  RETRY(fd, receivable(flags), timeout, what_fitted(recv(socket_of(fd), data, (int)n, flags), n), r)
  return r;
}

int32_t bs_recvfrom(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, struct bs_io *io,
                    double timeout) {
  int r, name_length;
  size_t n = at_most(length, max);
  memset(io->name, 0, BS_NAME_MAX);
  RETRY(fd, receivable(flags), timeout,
        (name_length = BS_NAME_MAX,
         what_fitted(recvfrom(socket_of(fd), data, (int)n, flags, (void *)io->name, &name_length), n)),
        r)
  set_sender(io, name_length);
  return r;
}

int32_t bs_send(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout) {
  int r;
  RETRY(fd, POLLWRNORM, timeout, send(socket_of(fd), data, clamp(length), flags), r)
  return r;
}

int32_t bs_sendall(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout) {
  const char *p = data;
  uint64_t left = length;
  struct waiting w = {timeout, timeout > 0 ? due_after(timeout) : 0, 0};
  for (;;) { /* once at least: an empty datagram is one */
    /* A piece at a time: a non-blocking send takes all of it, however much, where there is any room, and the deadline
     * would be for nothing. No datagram is longer than this. */
    int r = send(socket_of(fd), p, left < 65536 ? (int)left : 65536, flags);
    if (r < 0) {
      int32_t failure = wait_for(&w, fd, POLLWRNORM, WSAGetLastError());
      if (failure) return failure;
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
  int r;
  RETRY(fd, POLLWRNORM, timeout, sendto(socket_of(fd), data, clamp(length), flags, name, name_length), r)
  return r;
}

/* The pieces of a message, as Winsock wants them. */
struct pieces {
  WSABUF few[SLICES_FEW], *many;
};

static void release(struct pieces *p) {
  if (p->many) HeapFree(GetProcessHeap(), 0, p->many);
}

/* Pieces that are released when the function is left. */
#define PIECES(p) __attribute__((cleanup(release))) struct pieces p = {.many = NULL}

/* The slices, or the one piece of data. A result is an i32: together they are no longer than that. 0, or the error. */
static int32_t set_pieces(WSAMSG *m, struct pieces *p, const void *data, size_t length, const struct bs_slice *slice,
                          int32_t slices) {
  m->lpBuffers = p->few;
  if (slices <= 0) {
    p->few[0].buf = (char *)data;
    p->few[0].len = (ULONG)length;
    m->dwBufferCount = 1;
    return 0;
  }
  if (slices > SLICES_MAX) return -WSAEMSGSIZE;
  if (slices > SLICES_FEW) {
    m->lpBuffers = p->many = HeapAlloc(GetProcessHeap(), 0, (size_t)slices * sizeof(WSABUF));
    if (!p->many) return -WSA_NOT_ENOUGH_MEMORY;
  }
  uint64_t left = INT_MAX;
  for (int32_t i = 0; i < slices; i++) {
    uint64_t n = slice[i].length < left ? slice[i].length : left;
    m->lpBuffers[i].buf = (char *)(uintptr_t)slice[i].address;
    m->lpBuffers[i].len = (ULONG)n;
    left -= n;
  }
  m->dwBufferCount = (DWORD)slices;
  return 0;
}

/* WSASendMsg and WSARecvMsg are no exports: a socket tells where they are. They are the same for every socket, and asked
 * for once. */
static LPFN_WSARECVMSG recv_message;
static LPFN_WSASENDMSG send_message;

static int extension(SOCKET s, GUID guid, void *function, DWORD size) {
  DWORD n;
  return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &guid, sizeof guid, function, size, &n, NULL, NULL);
}

static int receive_message(SOCKET s, WSAMSG *m, DWORD *n) {
  LPFN_WSARECVMSG f = __atomic_load_n(&recv_message, __ATOMIC_RELAXED);
  if (!f) {
    if (extension(s, (GUID)WSAID_WSARECVMSG, &f, sizeof f) < 0) return SOCKET_ERROR;
    __atomic_store_n(&recv_message, f, __ATOMIC_RELAXED);
  }
  return f(s, m, n, NULL, NULL);
}

static int submit_message(SOCKET s, WSAMSG *m, DWORD flags, DWORD *n) {
  LPFN_WSASENDMSG f = __atomic_load_n(&send_message, __ATOMIC_RELAXED);
  if (!f) {
    if (extension(s, (GUID)WSAID_WSASENDMSG, &f, sizeof f) < 0) return SOCKET_ERROR;
    __atomic_store_n(&send_message, f, __ATOMIC_RELAXED);
  }
  return f(s, m, flags, n, NULL, NULL);
}

/* One receive into the buffers of `m`; what came is its result, m->Control and m->dwFlags. */
static int receive(SOCKET s, int whole, WSAMSG *m) {
  DWORD n = 0;
  int r;
  if (whole) {
    r = receive_message(s, m, &n);
  } else {
    m->Control.len = 0;
    r = WSARecvFrom(s, m->lpBuffers, m->dwBufferCount, &n, &m->dwFlags, m->name, &m->namelen, NULL, NULL);
  }
  if (r == 0) return (int)n;
  if (WSAGetLastError() != WSAEMSGSIZE) return SOCKET_ERROR;
  if (m->dwFlags & MSG_CTRUNC && !(m->dwFlags & MSG_TRUNC)) return (int)n;
  m->dwFlags |= MSG_TRUNC; /* WSARecvFrom says it by the error alone */
  DWORD room = 0;
  for (DWORD i = 0; i < m->dwBufferCount; i++) room += m->lpBuffers[i].len;
  return (int)room;
}

/* The same, with at most `room` bytes of control messages. A receive whose control messages do not fit fails, and need not
 * tell how much data came: so there is room, and what the caller has none for is cut here. */
static int receive_cut(SOCKET s, int whole, WSAMSG *m, void *control, size_t room, int32_t flags) {
  _Alignas(WSACMSGHDR) char own[CONTROL_BYTES];
  int is_own = room < sizeof own;
  size_t offered = is_own ? sizeof own : room;
  m->namelen = BS_NAME_MAX;
  m->Control.buf = is_own ? own : control;
  m->Control.len = (ULONG)offered;
  m->dwFlags = (DWORD)flags;
  int r = receive(s, whole, m);
  if (r < 0) return r;
  size_t end = m->Control.len < offered ? m->Control.len : offered;
  if (end > room) {
    end = room;
    m->dwFlags |= MSG_CTRUNC;
  }
  if (is_own && end) memcpy(control, own, end);
  m->Control.len = (ULONG)end;
  /* What was asked for comes back among what happened. */
  m->dwFlags &= ~((DWORD)flags & ~(DWORD)(MSG_TRUNC | MSG_CTRUNC));
  return r;
}

/* Streams have no WSARecvMsg, and nothing that would need it. Whether it is to be used, or the negative result. */
static int32_t has_messages(int32_t fd) {
  int type;
  int32_t r = int_option(fd, SO_TYPE, &type);
  return r < 0 ? r : type == SOCK_DGRAM || type == SOCK_RAW;
}

int32_t bs_recvmsg(int32_t fd, void *data, uint64_t length, int32_t max, const struct bs_slice *slice, int32_t slices,
                   void *control, uint64_t control_length, int32_t control_max, struct bs_item *item,
                   uint64_t items_length, int32_t flags, struct bs_io *io, double timeout) {
  SOCKET s = socket_of(fd);
  PIECES(pieces);
  WSAMSG m;
  memset(&m, 0, sizeof m);
  int32_t refused = set_pieces(&m, &pieces, data, at_most(length, max), slice, slices);
  if (refused) return refused;
  int32_t whole = has_messages(fd);
  if (whole < 0) return whole;
  size_t room = at_most(control_length, control_max);
  m.name = (void *)io->name;
  memset(io->name, 0, BS_NAME_MAX);
  int r;
  RETRY(fd, receivable(flags), timeout, receive_cut(s, whole, &m, control, room, flags), r)
  set_sender(io, m.namelen);
  size_t end = m.Control.len;
  io->flags = (int32_t)m.dwFlags;
  io->items = 0;
  io->malformed = 0;
  size_t head = WSA_CMSG_LEN(0);
  for (size_t at = 0; at + head <= end && (size_t)(io->items + 1) * sizeof *item <= items_length;) {
    WSACMSGHDR h;
    memcpy(&h, (char *)control + at, sizeof h);
    if (h.cmsg_len < head) {
      io->malformed = 1;
      break;
    }
    size_t n = h.cmsg_len - head;
    if (n > end - at - head) {
      n = end - at - head;
      io->malformed = !(m.dwFlags & MSG_CTRUNC);
    }
    item[io->items++] = (struct bs_item){h.cmsg_level, h.cmsg_type, (int32_t)(at + head), (int32_t)n};
    at += WSA_CMSG_SPACE(n);
  }
  return r;
}

static int submit(SOCKET s, WSAMSG *m, int32_t flags) {
  DWORD n = 0;
  int r = m->Control.len ? submit_message(s, m, (DWORD)flags, &n)
                         : WSASendTo(s, m->lpBuffers, m->dwBufferCount, &n, (DWORD)flags, m->name, m->namelen, NULL,
                                     NULL);
  return r == 0 ? (int)n : SOCKET_ERROR;
}

int32_t bs_sendmsg(int32_t fd, const void *data, uint64_t length, const struct bs_slice *slice, int32_t slices,
                   const void *records, int32_t records_length, void *control, uint64_t control_length, int32_t flags,
                   const void *name, int32_t name_length, double timeout) {
  PIECES(pieces);
  WSAMSG m;
  memset(&m, 0, sizeof m);
  int32_t refused = set_pieces(&m, &pieces, data, (size_t)clamp(length), slice, slices);
  if (refused) return refused;
  const char *p = records, *last = p + records_length;
  size_t at = 0;
  while (last - p >= 12) {
    int32_t head[3]; /* level, type, length */
    memcpy(head, p, sizeof head);
    p += sizeof head;
    if (head[2] < 0 || head[2] > last - p) return -WSAEINVAL;
    size_t n = (size_t)head[2], space = WSA_CMSG_SPACE(n);
    if (space > control_length - at) return -WSAEINVAL;
    WSACMSGHDR *h = (WSACMSGHDR *)((char *)control + at);
    memset(h, 0, space);
    h->cmsg_len = WSA_CMSG_LEN(n);
    h->cmsg_level = head[0];
    h->cmsg_type = head[1];
    memcpy(WSA_CMSG_DATA(h), p, n);
    p += (head[2] + 3) & ~3;
    at += space;
  }
  m.Control.buf = at ? control : NULL;
  m.Control.len = (ULONG)at;
  m.name = name_length ? (void *)name : NULL;
  m.namelen = name_length;
  int r;
  RETRY(fd, POLLWRNORM, timeout, submit(socket_of(fd), &m, flags), r)
  return r;
}

/* ---- Many messages: Winsock has no call for them, each is one ---- */

/* Message `i` of a batch, as Winsock wants it; `piece` has to stay where it is. */
static WSAMSG message_of(const struct bs_batch *b, const struct parts *p, const char *data, int32_t i, WSABUF *piece) {
  piece->buf = (char *)data + (size_t)i * (size_t)b->size;
  piece->len = (ULONG)p->message[i].length;
  WSAMSG m;
  memset(&m, 0, sizeof m);
  m.lpBuffers = piece;
  m.dwBufferCount = 1;
  m.name = (void *)(p->names + (size_t)i * BS_NAME_MAX);
  m.Control.buf = p->controls + (size_t)i * (size_t)b->control_size;
  return m;
}

/* Whether something can be received without waiting: what the socket's own mode is does not matter. */
static int is_readable(int32_t fd, int32_t flags) {
  WSAPOLLFD p = {.fd = socket_of(fd), .events = receivable(flags)};
  return WSAPoll(&p, 1, 0) > 0;
}

int32_t bs_recv_batch(int32_t fd, struct bs_batch *b, uint64_t batch_length, void *data, uint64_t data_length,
                      int32_t flags, double timeout) {
  struct parts p;
  if (!find_parts(b, batch_length, &p) || (uint64_t)b->capacity * (uint64_t)b->size > data_length) return -WSAEFAULT;
  SOCKET s = socket_of(fd);
  int32_t whole = has_messages(fd);
  if (whole < 0) return whole;
  b->error = 0;
  for (int32_t i = 0; i < b->capacity; i++) {
    if (i > 0 && !is_readable(fd, flags)) return i;
    struct bs_message *message = &p.message[i];
    message->length = b->size;
    WSABUF piece;
    WSAMSG m = message_of(b, &p, data, i, &piece);
    char *control = m.Control.buf;
    memset(m.name, 0, BS_NAME_MAX);
    int r;
    if (i == 0) {
      RETRY(fd, receivable(flags), timeout, receive_cut(s, whole, &m, control, (size_t)b->control_size, flags), r)
    } else {
      r = receive_cut(s, whole, &m, control, (size_t)b->control_size, flags);
      if (r < 0) {
        int error = WSAGetLastError();
        if (error != WSAEWOULDBLOCK) b->error = negative(fd, error);
        return i;
      }
    }
    message->length = r;
    message->flags = (int32_t)m.dwFlags;
    uint8_t *name = (uint8_t *)m.name;
    message->name_length = end_name(name, name[0] || name[1] ? m.namelen : 0);
    message->control_length = (int32_t)m.Control.len;
  }
  return b->capacity;
}

int32_t bs_send_batch(int32_t fd, struct bs_batch *b, uint64_t batch_length, const void *data, uint64_t data_length,
                      int32_t flags, double timeout) {
  struct parts p;
  if (!find_parts(b, batch_length, &p) || !are_sendable(b, &p, data_length)) return -WSAEFAULT;
  b->error = 0;
  int32_t sent = 0;
  struct waiting w = {timeout, timeout > 0 ? due_after(timeout) : 0, 0};
  while (sent < b->count) {
    int32_t i = b->first + sent;
    WSABUF piece;
    WSAMSG m = message_of(b, &p, data, i, &piece);
    m.namelen = p.message[i].name_length;
    if (m.namelen == 0) m.name = NULL;
    m.Control.len = (ULONG)p.message[i].control_length;
    if (submit(socket_of(fd), &m, flags) >= 0) {
      sent++;
      w.woken = 0;
      if (timeout > 0 && sent < b->count && now_ns() >= w.due) break;
      continue;
    }
    int32_t failure = wait_for(&w, fd, POLLWRNORM, WSAGetLastError());
    if (failure == 0) continue;
    if (sent == 0) return failure;
    if (failure != -WSAEWOULDBLOCK && failure != BS_TIMED_OUT) b->error = failure;
    break;
  }
  return sent;
}

int32_t bs_clock_gettime(int32_t clock, int64_t *time) {
  (void)clock, (void)time;
  return -WSAEOPNOTSUPP;
}

/* A file's descriptor is a number of the C runtime that Bun was linked with, which no other module can use. */
int32_t bs_sendfile(int32_t fd, int32_t file, double offset, int32_t count, double timeout) {
  (void)fd, (void)file, (void)offset, (void)count, (void)timeout;
  return -WSAEOPNOTSUPP;
}

int32_t bs_seek(int32_t file, double offset) {
  (void)file, (void)offset;
  return -WSAEOPNOTSUPP;
}

int32_t bs_cmsg_len(int32_t length) { return (int32_t)WSA_CMSG_LEN((size_t)length); }

int32_t bs_cmsg_space(int32_t length) { return (int32_t)WSA_CMSG_SPACE((size_t)length); }

/* ---- What only packet rings and XDP want, on Linux ---- */

int32_t bs_map(int32_t fd, double offset, double length, uint64_t *out) {
  (void)fd, (void)offset, (void)length, (void)out;
  return -WSAEOPNOTSUPP;
}

int32_t bs_map_view(void *mapping) {
  (void)mapping;
  return -WSAEOPNOTSUPP;
}

int32_t bs_bpf(int32_t command, void *attribute, uint64_t length) {
  (void)command, (void)attribute, (void)length;
  return -WSAEOPNOTSUPP;
}

int32_t bs_poll(int32_t fd, int32_t events, double timeout) {
  (void)fd, (void)events, (void)timeout;
  return -WSAEOPNOTSUPP;
}

/* ---- Text: UTF-8 outside, UTF-16 inside ---- */

/* 0 where it does not fit. */
static int widen(const char *text, WCHAR *out, int room) {
  return MultiByteToWideChar(CP_UTF8, 0, text, -1, out, room);
}

/* Without the NUL; its length. */
static int32_t put_text(const WCHAR *text, int chars, void *out, uint64_t length) {
  return chars ? WideCharToMultiByte(CP_UTF8, 0, text, chars, out, clamp(length), NULL, NULL) : 0;
}

/* ---- Names ---- */

/* A resolver's failure is a WSA number like any other. */
static int32_t resolver_failed(int failure, int32_t *out) {
  *out = failure;
  return -1;
}

int32_t bs_getaddrinfo(const char *host, const char *service, int32_t family, int32_t type, int32_t protocol,
                       int32_t flags, void *out, uint64_t length, int32_t *failure) {
  WCHAR wide_host[NAME_CHARS], wide_service[SERVICE_CHARS];
  ADDRINFOW hints, *list = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family;
  hints.ai_socktype = type;
  hints.ai_protocol = protocol;
  hints.ai_flags = flags;
  *failure = 0;
  if (host && !widen(host, wide_host, NAME_CHARS)) return resolver_failed(EAI_NONAME, failure);
  if (service && !widen(service, wide_service, SERVICE_CHARS)) return resolver_failed(EAI_SERVICE, failure);
  int error = GetAddrInfoW(host ? wide_host : NULL, service ? wide_service : NULL, &hints, &list);
  if (error) return resolver_failed(error, failure);
  struct writer w = {out, length, 0};
  for (ADDRINFOW *a = list; a; a = a->ai_next) {
    char canonical[NAME_CHARS * 3];
    int32_t n = a->ai_canonname ? put_text(a->ai_canonname, lstrlenW(a->ai_canonname), canonical, sizeof canonical) : 0;
    put_int(&w, a->ai_family);
    put_int(&w, a->ai_socktype);
    put_int(&w, a->ai_protocol);
    put_int(&w, (int32_t)a->ai_addrlen);
    put_int(&w, n);
    put(&w, a->ai_addr, a->ai_addrlen);
    put(&w, canonical, (size_t)n);
  }
  FreeAddrInfoW(list);
  return (int32_t)w.at;
}

int32_t bs_getnameinfo(const void *name, int32_t name_length, int32_t flags, void *out, uint64_t length,
                       int32_t *failure) {
  WCHAR text[NAME_CHARS + NI_MAXSERV], service[NI_MAXSERV];
  *failure = 0;
  int error = GetNameInfoW(name, name_length, text, NAME_CHARS, service, NI_MAXSERV, flags);
  if (error) return resolver_failed(error, failure);
  int host_chars = lstrlenW(text) + 1, service_chars = lstrlenW(service) + 1;
  memcpy(text + host_chars, service, (size_t)service_chars * sizeof *text);
  int chars = host_chars + service_chars;
  int needed = WideCharToMultiByte(CP_UTF8, 0, text, chars, NULL, 0, NULL, NULL);
  if ((uint64_t)needed <= length) put_text(text, chars, out, length);
  return needed;
}

/* The older calls speak in the machine's own code page. Their static results are each thread's own. */
static int32_t from_code_page(const char *text, char *out, uint64_t length) {
  WCHAR wide[NAME_CHARS];
  int chars = MultiByteToWideChar(CP_ACP, 0, text, -1, wide, NAME_CHARS);
  return chars ? put_text(wide, chars - 1, out, length) : 0;
}

static void put_name(struct writer *w, const char *name) {
  char text[NAME_CHARS * 3];
  int32_t n = from_code_page(name, text, sizeof text);
  put_int(w, 0);
  put_int(w, n);
  put(w, text, (size_t)n);
}

static int32_t put_host(const struct hostent *h, void *out, uint64_t length, int32_t *failure) {
  if (!h) {
    int error = WSAGetLastError();
    if (error < WSAHOST_NOT_FOUND || error > WSANO_DATA) return negative(0, error);
    *failure = error;
    return -1;
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
  return put_host(gethostbyname(host), out, length, failure);
}

int32_t bs_gethostbyaddr(const void *address, int32_t address_length, int32_t family, void *out, uint64_t length,
                         int32_t *failure) {
  *failure = 0;
  return put_host(gethostbyaddr(address, address_length, family), out, length, failure);
}

int32_t bs_getservbyname(const char *service, const char *protocol) {
  struct servent *s = getservbyname(service, protocol);
  return s ? ntohs((u_short)s->s_port) : -BS_ENOENT;
}

int32_t bs_getservbyport(int32_t port, const char *protocol, void *out, uint64_t length) {
  struct servent *s = getservbyport(htons((u_short)port), protocol);
  return s ? from_code_page(s->s_name, out, length) : -BS_ENOENT;
}

int32_t bs_getprotobyname(const char *protocol) {
  struct protoent *p = getprotobyname(protocol);
  return p ? p->p_proto : -BS_ENOENT;
}

int32_t bs_gethostname(void *out, uint64_t length) {
  WCHAR name[NAME_CHARS];
  DWORD chars = NAME_CHARS;
  if (!GetComputerNameExW(ComputerNamePhysicalDnsHostname, name, &chars)) return -number_of(GetLastError());
  return put_text(name, (int)chars, out, length);
}

int32_t bs_sethostname(const void *name, uint64_t length) {
  (void)name, (void)length;
  return -WSAEOPNOTSUPP;
}

/* The names that programs use (`ethernet_32769`), not those that people see. */
static int32_t interface_name(const NET_LUID *luid, char *out, uint64_t length) {
  WCHAR name[NDIS_IF_MAX_STRING_SIZE + 1];
  if (ConvertInterfaceLuidToNameW(luid, name, NDIS_IF_MAX_STRING_SIZE + 1) != NO_ERROR) return 0;
  return put_text(name, lstrlenW(name), out, length);
}

int32_t bs_if_nameindex(void *out, uint64_t length) {
  MIB_IF_TABLE2 *table;
  DWORD error = GetIfTable2Ex(MibIfTableRaw, &table);
  if (error != NO_ERROR) return -number_of(error);
  struct writer w = {out, length, 0};
  for (ULONG i = 0; i < table->NumEntries; i++) {
    char name[(NDIS_IF_MAX_STRING_SIZE + 1) * 3];
    int32_t n = interface_name(&table->Table[i].InterfaceLuid, name, sizeof name);
    if (n <= 0) continue; /* it went away */
    put_int(&w, (int32_t)table->Table[i].InterfaceIndex);
    put_int(&w, n);
    put(&w, name, (size_t)n);
  }
  FreeMibTable(table);
  return (int32_t)w.at;
}

int32_t bs_if_nametoindex(const char *name) {
  WCHAR wide[NDIS_IF_MAX_STRING_SIZE + 1];
  NET_LUID luid;
  NET_IFINDEX index;
  if (!widen(name, wide, NDIS_IF_MAX_STRING_SIZE + 1) || ConvertInterfaceNameToLuidW(wide, &luid) != NO_ERROR ||
      ConvertInterfaceLuidToIndex(&luid, &index) != NO_ERROR)
    return -BS_ENODEV;
  return (int32_t)index;
}

int32_t bs_if_indextoname(uint32_t index, void *out, uint64_t length) {
  NET_LUID luid;
  if (ConvertInterfaceIndexToLuid(index, &luid) != NO_ERROR) return -BS_ENXIO;
  int32_t n = interface_name(&luid, out, length);
  return n > 0 ? n : -BS_ENXIO;
}

/* One number of an IPv4 address, and where it ends; NULL where there is none. `generous` as C has it: octal and
 * hexadecimal too, up to 32 bits; otherwise decimal without zeros in front, up to 255. */
static const char *ipv4_number(const char *text, int generous, uint32_t *value) {
  uint32_t base = 10;
  const char *p = text;
  uint64_t number = 0;
  if (generous && p[0] == '0') {
    base = p[1] == 'x' || p[1] == 'X' ? 16 : 8;
    if (base == 16) p += 2;
  } else if (!generous && p[0] == '0' && p[1] >= '0' && p[1] <= '9') {
    return NULL;
  }
  const char *first = p;
  for (;; p++) {
    char letter = *p | 0x20;
    uint32_t digit = UINT32_MAX;
    if (*p >= '0' && *p <= '9') digit = (uint32_t)(*p - '0');
    else if (letter >= 'a' && letter <= 'f') digit = (uint32_t)(letter - 'a' + 10);
    if (digit >= base) break;
    number = number * base + digit;
    if (number > (generous ? 0xffffffff : 255)) return NULL;
  }
  *value = (uint32_t)number;
  return p == first ? NULL : p;
}

/* An IPv4 address of up to four numbers, the last of which fills what is left; where it ends, or NULL. */
static const char *ipv4(const char *text, int generous, uint8_t *address) {
  uint32_t value = 0, last, parts = 0;
  for (const char *p = text;; p++) {
    p = ipv4_number(p, generous, &last);
    if (!p) return NULL;
    parts++;
    if (*p == '.' && parts < 4) {
      if (last > 255) return NULL;
      value |= last << (32 - 8 * parts);
      continue;
    }
    if (parts > 1 && last >> (8 * (5 - parts))) return NULL;
    if (!generous && parts < 4) return NULL;
    value |= last;
    for (int i = 0; i < 4; i++) address[i] = (uint8_t)(value >> (24 - 8 * i));
    return p;
  }
}

int32_t bs_inet_aton(const char *text, void *address) {
  uint8_t found[4];
  const char *end = ipv4(text, 1, found);
  if (!end || (*end && *end != ' ' && (*end < '\t' || *end > '\r'))) return 0;
  memcpy(address, found, sizeof found);
  return 1;
}

int32_t bs_inet_pton(int32_t version, const char *text, void *address) {
  if (version != 4) return inet_pton(AF_INET6, text, address) == 1;
  uint8_t found[4];
  const char *end = ipv4(text, 0, found);
  if (!end || *end) return 0;
  memcpy(address, found, sizeof found);
  return 1;
}

int32_t bs_inet_ntop(int32_t version, const void *address, void *out, uint64_t length) {
  const char *text = inet_ntop(version == 4 ? AF_INET : AF_INET6, address, out, (size_t)length);
  return text ? (int32_t)length_of(text) : -number_of((DWORD)WSAGetLastError());
}

/* ---- Waiting beside the JavaScript thread ----
 *
 * As in poller.h, by WSAPoll: one thread for each thread of JavaScript. It polls what is armed and a socket of its own, to
 * which a datagram is sent when something else is to be polled. */

enum { READY_MAX = 256 };

static void *allocate(size_t n) { return HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, n); }

static void *grow(void *memory, size_t n) {
  return memory ? HeapReAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, memory, n) : allocate(n);
}

static void discard(void *memory) { HeapFree(GetProcessHeap(), 0, memory); }

struct armed {
  int32_t fd, events;
  uint32_t id;
};

struct poller {
  CRITICAL_SECTION lock;
  CONDITION_VARIABLE taken;
  void (*wake)(void);
  SOCKET alarm;
  int ringing; /* a datagram is on its way to the alarm */
  int users, gone, watched, count;
  struct bs_ready ready[READY_MAX];
  struct bs_ready shown[READY_MAX];
  struct question *answered;
  /* What is armed, and the thread's own copy of it while it polls. */
  struct armed *armed;
  int armed_count, armed_room;
  struct armed *polled;
  WSAPOLLFD *fds;
  int polled_room;
};

static void lock_poller(struct poller *p) { EnterCriticalSection(&p->lock); }
static void unlock_poller(struct poller *p) { LeaveCriticalSection(&p->lock); }

typedef DWORD WINAPI thread_function(void *);
#define THREAD static DWORD WINAPI
enum { NO_MEMORY = WSA_NOT_ENOUGH_MEMORY, NAME_TOO_LONG = WSAENAMETOOLONG, NOT_THERE = BS_ENOENT };

#include "resolver.h"

/* With the lock held; leaves it. */
static void leave(struct poller *p) {
  int users = --p->users;
  unlock_poller(p);
  if (users > 0) return;
  if (p->alarm != INVALID_SOCKET) closesocket(p->alarm);
  forget_answers(p);
  if (p->armed) discard(p->armed);
  if (p->polled) discard(p->polled);
  if (p->fds) discard(p->fds);
  DeleteCriticalSection(&p->lock);
  discard(p);
}

/* With the lock held: see poller.h. */
static void put_ready(struct poller *p, struct bs_ready ready) {
  while (p->count == READY_MAX && !p->gone) SleepConditionVariableCS(&p->taken, &p->lock, INFINITE);
  if (p->gone) return;
  p->ready[p->count++] = ready;
  if (!p->watched) return;
  p->watched = 0;
  p->wake();
}

static void tell_answer(struct poller *p, struct question *q) { put_ready(p, (struct bs_ready){q->id, BS_READABLE}); }

/* With the lock held. */
static void ring(struct poller *p) {
  if (p->ringing) return;
  p->ringing = 1;
  send(p->alarm, "", 1, 0);
}

/* A datagram socket that is connected to itself: no other program can send to it. */
static SOCKET open_alarm(void) {
  SOCKET s = WSASocketW(AF_INET, SOCK_DGRAM, 0, NULL, 0, SOCKET_FLAGS);
  struct sockaddr_in name = {.sin_family = AF_INET};
  int length = sizeof name;
  u_long on = 1;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s == INVALID_SOCKET) return s;
  if (bind(s, (struct sockaddr *)&name, sizeof name) == 0 && getsockname(s, (struct sockaddr *)&name, &length) == 0 &&
      connect(s, (struct sockaddr *)&name, sizeof name) == 0 && ioctlsocket(s, FIONBIO, &on) == 0)
    return s;
  closesocket(s);
  return INVALID_SOCKET;
}

/* With the lock held: the copy to poll. The first is the alarm. 0, or -1 without memory. */
static int copy_armed(struct poller *p) {
  int n = p->armed_count + 1;
  if (n > p->polled_room) {
    int room = n * 2;
    void *fds = grow(p->fds, (size_t)room * sizeof *p->fds);
    if (!fds) return -1;
    p->fds = fds;
    void *polled = grow(p->polled, (size_t)room * sizeof *p->polled);
    if (!polled) return -1;
    p->polled = polled;
    p->polled_room = room;
  }
  p->fds[0] = (WSAPOLLFD){.fd = p->alarm, .events = POLLRDNORM};
  for (int i = 1; i < n; i++) {
    struct armed a = p->polled[i] = p->armed[i - 1];
    short events = (a.events & BS_READABLE ? POLLRDNORM : 0) | (a.events & BS_WRITABLE ? POLLWRNORM : 0) |
                   (a.events & BS_URGENT ? POLLRDBAND : 0);
    p->fds[i] = (WSAPOLLFD){.fd = socket_of(a.fd), .events = events};
  }
  return n;
}

static int32_t found(short events) {
  return (events & POLLRDNORM ? BS_READABLE : 0) | (events & POLLWRNORM ? BS_WRITABLE : 0) |
         (events & POLLRDBAND ? BS_URGENT : 0) | (events & (POLLERR | POLLHUP | POLLNVAL) ? BS_FAILED : 0);
}

static struct armed *find_armed(struct poller *p, int32_t fd) {
  for (int i = 0; i < p->armed_count; i++)
    if (p->armed[i].fd == fd) return &p->armed[i];
  return NULL;
}

THREAD wait_on(void *poller) {
  struct poller *p = poller;
  lock_poller(p);
  while (!p->gone) {
    int n = copy_armed(p);
    unlock_poller(p);
    if (n < 0) Sleep(10);
    int r = n < 0 ? 0 : WSAPoll(p->fds, (ULONG)n, -1);
    if (r < 0) Sleep(1);
    lock_poller(p);
    if (r <= 0) continue;
    if (p->fds[0].revents) {
      char bytes[8];
      while (recv(p->alarm, bytes, sizeof bytes, 0) > 0) continue;
      p->ringing = 0;
    }
    for (int i = 1; i < n && !p->gone; i++) {
      if (!p->fds[i].revents) continue;
      struct armed *a = find_armed(p, p->polled[i].fd);
      if (!a || a->id != p->polled[i].id) continue; /* disarmed meanwhile */
      struct bs_ready ready = {a->id, found(p->fds[i].revents)};
      *a = p->armed[--p->armed_count];
      put_ready(p, ready);
    }
  }
  leave(p);
  return 0;
}

/* The engine frees JavaScript's view: see poller.h. */
static void gone(void *shown, void *poller) {
  (void)shown;
  struct poller *p = poller;
  lock_poller(p);
  p->gone = 1;
  WakeAllConditionVariable(&p->taken);
  ring(p);
  leave(p);
}

static int begin_thread(thread_function *run, void *argument) {
  HANDLE thread = CreateThread(NULL, 0, run, argument, 0, NULL);
  if (!thread) return -number_of(GetLastError());
  CloseHandle(thread);
  return 0;
}

int32_t bs_poller_open(void *wake, uint64_t *out) {
  struct poller *p = allocate(sizeof *p);
  if (!p) return -NO_MEMORY;
  InitializeCriticalSection(&p->lock);
  InitializeConditionVariable(&p->taken);
  p->wake = (void (*)(void))(uintptr_t)wake;
  p->users = 2;
  p->alarm = open_alarm();
  int32_t r = p->alarm == INVALID_SOCKET ? -number_of((DWORD)WSAGetLastError()) : begin_thread(wait_on, p);
  if (r < 0) {
    lock_poller(p);
    p->users = 1;
    leave(p);
    return r;
  }
  out[0] = (uint64_t)(uintptr_t)p;
  out[1] = (uint64_t)(uintptr_t)p->shown;
  out[2] = sizeof p->shown;
  out[3] = (uint64_t)(uintptr_t)gone;
  return 0;
}

int32_t bs_poller_arm(void *poller, int32_t fd, int32_t events, uint32_t id, int32_t known) {
  struct poller *p = poller;
  (void)known;
  if (fd < 0) return -WSAEBADF;
  int32_t r = 0;
  lock_poller(p);
  struct armed *a = find_armed(p, fd);
  if (!a && p->armed_count == p->armed_room) {
    int room = p->armed_room ? p->armed_room * 2 : 64;
    void *more = grow(p->armed, (size_t)room * sizeof *p->armed);
    if (more) {
      p->armed = more;
      p->armed_room = room;
    } else {
      r = -NO_MEMORY;
    }
  }
  if (r == 0) {
    if (!a) a = &p->armed[p->armed_count++];
    *a = (struct armed){fd, events, id};
    ring(p);
  }
  unlock_poller(p);
  return r;
}

int32_t bs_poller_disarm(void *poller, int32_t fd) {
  struct poller *p = poller;
  lock_poller(p);
  struct armed *a = find_armed(p, fd);
  if (a) {
    *a = p->armed[--p->armed_count];
    ring(p);
  }
  unlock_poller(p);
  return 0;
}

int32_t bs_poller_take(void *poller) {
  struct poller *p = poller;
  lock_poller(p);
  int n = p->count;
  memcpy(p->shown, p->ready, (size_t)n * sizeof *p->ready);
  p->count = 0;
  WakeAllConditionVariable(&p->taken);
  unlock_poller(p);
  return n;
}

int32_t bs_poller_watch(void *poller) {
  struct poller *p = poller;
  lock_poller(p);
  p->watched = p->count == 0;
  if (!p->watched) p->wake();
  unlock_poller(p);
  return 0;
}

/* ---- Texts of errors ---- */

static int32_t put_ascii(const char *text, void *out, uint64_t length) {
  size_t n = length_of(text);
  if (n > length) n = (size_t)length;
  memcpy(out, text, n);
  return (int32_t)n;
}

int32_t bs_strerror(int32_t error, void *out, uint64_t length) {
  /* These numbers of the C runtime mean something else to the system. (2 is the same to both.) */
  switch (error) {
  case BS_EPERM: return put_ascii("Operation not permitted", out, length);
  case BS_ENXIO: return put_ascii("No such device or address", out, length);
  case BS_EEXIST: return put_ascii("File exists", out, length);
  case BS_ENODEV: return put_ascii("No such device", out, length);
  case BS_EPIPE: return put_ascii("Broken pipe", out, length);
  }
  WCHAR text[TEXT_CHARS];
  DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;
  int chars = (int)FormatMessageW(flags, NULL, (DWORD)error, 0, text, TEXT_CHARS, NULL);
  /* It comes as a line, with a full stop. */
  while (chars > 0 && (text[chars - 1] <= ' ' || text[chars - 1] == '.')) chars--;
  return chars ? put_text(text, chars, out, length) : put_ascii("Unknown error", out, length);
}

/* The resolver's numbers are Winsock's. */
int32_t bs_gai_strerror(int32_t failure, void *out, uint64_t length) { return bs_strerror(failure, out, length); }

int32_t bs_hstrerror(int32_t failure, void *out, uint64_t length) { return bs_strerror(failure, out, length); }
