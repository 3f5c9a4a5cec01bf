/*
 * The promises of the shim: what each function does, whatever the platform.
 *
 * A function is one system call (or one call of the C library's resolver) with its EINTR retry and its deadline.
 * It decides nothing and keeps nothing: all memory is the caller's, passed at every call. Only a poller has a thread and
 * memory of its own, and a mapping memory of the kernel's.
 *
 * Every platform's library has every function; what its system lacks fails with ENOSYS (Windows: WSAEOPNOTSUPP).
 *
 * Results   i32. Zero or positive: the call's own result. Negative: -errno, or BS_TIMED_OUT.
 * timeout   Seconds. Negative: the descriptor is blocking, the kernel waits. Zero: nothing waits, whether or not the
 *           descriptor is blocking (on Windows it must not be). Positive: the call is tried first, then waits for
 *           readiness until that long after it began, by the monotonic clock. A signal or a spurious wake-up does not
 *           start the time anew.
 * length    A view and its byte length are read by the engine from the same object in the same call.
 * max       The most bytes of a view to use; never more than its length are.
 * io        The caller's block of results, struct bs_io below. `name` is a sockaddr of `name_length` bytes; the bytes
 *           up to the next multiple of four are zero, so that names can be compared by words.
 * out       Where lists go, in records of native-endian i32 and bytes. A list that does not fit is not written: the
 *           result is then the number of bytes it needs, which is more than the view had.
 */
#ifndef BERKELEY_SOCKETS_SHIM_H
#define BERKELEY_SOCKETS_SHIM_H

#include <stdint.h>

#if defined(_WIN32)
#define BS_EXPORT __declspec(dllexport)
#else
#define BS_EXPORT __attribute__((visibility("default")))
#endif

/* The deadline passed. Apart from every errno: ETIMEDOUT is also what TCP says when a peer does not answer. */
#define BS_TIMED_OUT (-0x10000)

#define BS_NAME_MAX 128 /* sizeof(struct sockaddr_storage), on every platform */

struct bs_io {
  int32_t name_length;
  int32_t flags;     /* msg_flags of a received message */
  int32_t items;     /* control messages received, or other counts */
  int32_t malformed; /* 1: a control message claimed to be longer than the buffer, and was cut */
  uint8_t name[BS_NAME_MAX];
};

/* One piece of a scattered or gathered message. Pointers are u64 whatever the platform. */
struct bs_slice {
  uint64_t address;
  uint64_t length;
};

/* Many messages for one call. Behind it, in the same memory: a bs_message for each, the shim's own structures
 * (BS_MESSAGE_ROOM bytes each), their names (BS_NAME_MAX bytes each), their control messages (control_size bytes each).
 * The data is other memory, `size` bytes from one message's to the next's. */
struct bs_batch {
  int32_t capacity;
  int32_t size;
  int32_t control_size; /* a multiple of 8 */
  int32_t first, count; /* which messages to send */
  int32_t error;        /* what ended a send or a receive in its midst: a negative result that nobody else tells */
  int32_t used;         /* the shim's: behind so many of its structures, which a send had, all are prepared for a receive, */
  int32_t gap;
  uint64_t here, there; /* as long as both memories are where they were then */
};

struct bs_message {
  int32_t length; /* bytes of its data */
  int32_t flags;  /* msg_flags, received */
  int32_t name_length;
  int32_t control_length; /* bytes of control messages, in the system's own shape */
};

#define BS_MESSAGE_ROOM 96

/* A control message received: where its data lies in the control buffer. */
struct bs_item {
  int32_t level;
  int32_t type;
  int32_t offset;
  int32_t length;
};

/* Which promises these are: a library that was built from another shim.h says another number. */
#define BS_VERSION 2

/* Called once by each thread before anything else: the version, or -errno where the system's sockets do not start. */
BS_EXPORT int32_t bs_start(void);

/* ---- A socket's life. New descriptors are never inheritable: atomically so wherever the system can. ---- */

/* socket(2). `type` may carry SOCK_NONBLOCK and SOCK_CLOEXEC where they exist. */
BS_EXPORT int32_t bs_socket(int32_t family, int32_t type, int32_t protocol);
/* socketpair(2). The two descriptors are io->name_length and io->flags. */
BS_EXPORT int32_t bs_socketpair(int32_t family, int32_t type, int32_t protocol, struct bs_io *io);
/* What a descriptor is: family, type, protocol in io->name_length, io->flags, io->items. `want` has a bit for each
 * (1, 2, 4); what is not wanted is not asked of the system, but a descriptor that is no socket is an error always. On
 * macOS the socket is told SO_NOSIGPIPE, as those that the library makes. */
BS_EXPORT int32_t bs_describe(int32_t fd, int32_t want, struct bs_io *io);
BS_EXPORT int32_t bs_bind(int32_t fd, const void *name, int32_t name_length);
BS_EXPORT int32_t bs_listen(int32_t fd, int32_t backlog);
/* accept4(2): the new descriptor, and the peer's name in io; no name is asked for where `named` is 0, as AF_ALG wants
 * it. */
BS_EXPORT int32_t bs_accept(int32_t fd, int32_t named, struct bs_io *io, double timeout);
/* connect(2). Interrupted, or in progress with a positive timeout: waits, then tells how it ended. */
BS_EXPORT int32_t bs_connect(int32_t fd, const void *name, int32_t name_length, double timeout);
BS_EXPORT int32_t bs_shutdown(int32_t fd, int32_t how);
BS_EXPORT int32_t bs_close(int32_t fd);
BS_EXPORT int32_t bs_dup(int32_t fd);

/* ---- Descriptors and options ---- */

BS_EXPORT int32_t bs_set_blocking(int32_t fd, int32_t blocking);
BS_EXPORT int32_t bs_get_inheritable(int32_t fd);
BS_EXPORT int32_t bs_set_inheritable(int32_t fd, int32_t inheritable);
BS_EXPORT int32_t bs_getsockname(int32_t fd, struct bs_io *io);
BS_EXPORT int32_t bs_getpeername(int32_t fd, struct bs_io *io);
/* An int option; the value is io->name_length. */
BS_EXPORT int32_t bs_getsockopt_int(int32_t fd, int32_t level, int32_t option, struct bs_io *io);
/* Any option; the result is the length that the system wrote. */
BS_EXPORT int32_t bs_getsockopt(int32_t fd, int32_t level, int32_t option, void *value, uint64_t length);
BS_EXPORT int32_t bs_setsockopt_int(int32_t fd, int32_t level, int32_t option, int32_t value);
BS_EXPORT int32_t bs_setsockopt(int32_t fd, int32_t level, int32_t option, const void *value, uint64_t length);
/* optval is NULL, optlen is `length`. */
BS_EXPORT int32_t bs_setsockopt_null(int32_t fd, int32_t level, int32_t option, int32_t length);
BS_EXPORT int32_t bs_ioctl_int(int32_t fd, uint32_t request, int32_t value);
/* `argument` has `length` bytes of the caller's, which may be read and written; behind them is room that the system may
 * write to by mistake. The result is the system's own; on Windows, how many bytes it wrote. */
BS_EXPORT int32_t bs_ioctl(int32_t fd, uint32_t request, void *argument, int32_t length);
/* Windows: a description of the socket (WSAPROTOCOL_INFOW) with which the process `pid` can open it; its length. */
BS_EXPORT int32_t bs_share(int32_t fd, uint32_t pid, void *out, uint64_t length);
/* Windows: opens what bs_share described; the new descriptor. io as of bs_describe. */
BS_EXPORT int32_t bs_fromshare(const void *info, uint64_t length, struct bs_io *io);

/* ---- Data ---- */

BS_EXPORT int32_t bs_recv(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, double timeout);
BS_EXPORT int32_t bs_recvfrom(int32_t fd, void *data, uint64_t length, int32_t max, int32_t flags, struct bs_io *io,
                              double timeout);
/* Sends from `offset` on. */
BS_EXPORT int32_t bs_send(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout);
/* Sends until all is sent; the deadline is for all of it. 0, or the error that stopped it. */
BS_EXPORT int32_t bs_sendall(int32_t fd, const void *data, uint64_t length, int32_t flags, double timeout);
BS_EXPORT int32_t bs_sendto(int32_t fd, const void *data, uint64_t length, int32_t flags, const void *name,
                            int32_t name_length, double timeout);
/* recvmsg(2), into `data` or, where `slices` is more than zero, into those. Control messages stay in `control`, of
 * which control_max bytes are offered to the system; `items` tells where each lies. Received descriptors are not
 * inheritable, where the system can do that (MSG_CMSG_CLOEXEC). */
BS_EXPORT int32_t bs_recvmsg(int32_t fd, void *data, uint64_t length, int32_t max, const struct bs_slice *slice,
                             int32_t slices, void *control, uint64_t control_length, int32_t control_max,
                             struct bs_item *item, uint64_t items_length, int32_t flags, struct bs_io *io,
                             double timeout);
/* sendmsg(2), from `data` or, where `slices` is more than zero, from those. `records` holds the control messages:
 * level, type, length as i32, then the data, padded to four bytes. `control` is room for them in the system's shape:
 * the sum of their CMSG_SPACE. */
BS_EXPORT int32_t bs_sendmsg(int32_t fd, const void *data, uint64_t length, const struct bs_slice *slice,
                             int32_t slices, const void *records, int32_t records_length, void *control,
                             uint64_t control_length, int32_t flags, const void *name, int32_t name_length,
                             double timeout);
/* recvmmsg(2): as many messages as there are, at most `capacity`; waits for the first only. Descriptors that come with
 * them are inheritable unless `flags` say otherwise, where the system has MSG_CMSG_CLOEXEC. Where it has no recvmmsg, and
 * below no sendmmsg, the call is made for each message. */
BS_EXPORT int32_t bs_recv_batch(int32_t fd, struct bs_batch *batch, uint64_t batch_length, void *data,
                                uint64_t data_length, int32_t flags, double timeout);
/* sendmmsg(2), until all are sent; the deadline is for all of them. How many were sent before something ended it: that is
 * batch->error, unless it was the time or that the socket would block. The error itself where none was sent. */
BS_EXPORT int32_t bs_send_batch(int32_t fd, struct bs_batch *batch, uint64_t batch_length, const void *data,
                                uint64_t data_length, int32_t flags, double timeout);
/* sendfile(2) of at most `count` bytes of a regular file from `offset` on; the file's position is not used. */
BS_EXPORT int32_t bs_sendfile(int32_t fd, int32_t file, double offset, int32_t count, double timeout);
/* Sets a file's position. */
BS_EXPORT int32_t bs_seek(int32_t file, double offset);
BS_EXPORT int32_t bs_cmsg_len(int32_t length);
BS_EXPORT int32_t bs_cmsg_space(int32_t length);

/* clock_gettime(2) of Linux: seconds and nanoseconds. */
BS_EXPORT int32_t bs_clock_gettime(int32_t clock, int64_t *time);

/* ---- Memory that the kernel has too ---- */

/* mmap(2) of a descriptor, shared, to be read and written; of fresh memory where fd is negative. out: the mapping, its
 * first byte, and the function (of the memory and the mapping) to call when a view of it is gone. It has one view at
 * first; with its last view it is unmapped. */
BS_EXPORT int32_t bs_map(int32_t fd, double offset, double length, uint64_t *out);
/* A further view of a mapping that has one. */
BS_EXPORT int32_t bs_map_view(void *mapping);
/* bpf(2) of Linux, with an attribute of `length` bytes, which has what pointers the command wants. */
BS_EXPORT int32_t bs_bpf(int32_t command, void *attribute, uint64_t length);

/* ---- Names. *failure gets the resolver's own number (EAI_* or h_errno), 0 where there is none. ---- */

/* Records: family, type, protocol, name length, canonical name length, name, canonical name, padded to four bytes. */
BS_EXPORT int32_t bs_getaddrinfo(const char *host, const char *service, int32_t family, int32_t type, int32_t protocol,
                                 int32_t flags, void *out, uint64_t length, int32_t *failure);
/* Host, NUL, service, NUL. */
BS_EXPORT int32_t bs_getnameinfo(const void *name, int32_t name_length, int32_t flags, void *out, uint64_t length,
                                 int32_t *failure);
/* Records: family, length, bytes, padded to four. Family 0 is a name (the first is the official one, the others are
 * aliases), any other an address. */
BS_EXPORT int32_t bs_gethostbyname(const char *host, void *out, uint64_t length, int32_t *failure);
BS_EXPORT int32_t bs_gethostbyaddr(const void *address, int32_t address_length, int32_t family, void *out,
                                   uint64_t length, int32_t *failure);
/* The port, in host order; -ENOENT where there is none. */
BS_EXPORT int32_t bs_getservbyname(const char *service, const char *protocol);
/* The service's name, without a NUL; its length. */
BS_EXPORT int32_t bs_getservbyport(int32_t port, const char *protocol, void *out, uint64_t length);
BS_EXPORT int32_t bs_getprotobyname(const char *protocol);
BS_EXPORT int32_t bs_gethostname(void *out, uint64_t length);
BS_EXPORT int32_t bs_sethostname(const void *name, uint64_t length);
/* Records: index, length, name, padded to four bytes. */
BS_EXPORT int32_t bs_if_nameindex(void *out, uint64_t length);
BS_EXPORT int32_t bs_if_nametoindex(const char *name);
BS_EXPORT int32_t bs_if_indextoname(uint32_t index, void *out, uint64_t length);
/* Text to bytes: 1, or 0 where the text is no address. Bytes to text: the text's length. `version` is 4 or 6. */
BS_EXPORT int32_t bs_inet_pton(int32_t version, const char *text, void *address);
BS_EXPORT int32_t bs_inet_ntop(int32_t version, const void *address, void *out, uint64_t length);
BS_EXPORT int32_t bs_inet_aton(const char *text, void *address);

/* ---- Waiting ---- */

enum { BS_READABLE = 1, BS_WRITABLE = 2, BS_URGENT = 4, BS_FAILED = 8 };

/* poll(2) of one descriptor: which of the events came, BS_FAILED unasked. A negative timeout waits as long as it takes,
 * whatever mode the descriptor has; 0 only asks. */
BS_EXPORT int32_t bs_poll(int32_t fd, int32_t events, double timeout);

/* ---- Waiting beside the JavaScript thread ---- */

enum { BS_GETADDRINFO, BS_GETNAMEINFO, BS_GETHOSTBYNAME, BS_GETHOSTBYADDR };

/* Told with what became ready: behind the data there may be what comes without another event, a stream's end or urgent data.
 * Linux tells it, and so a receive of less than was asked for has emptied the queue of TCP's bytes where it was not told. */
enum { BS_MORE = 16 };

/* What became ready: the id that was armed or asked with, and BS_READABLE and so on. */
struct bs_ready {
  uint32_t id;
  int32_t events;
};

/* A poller, with a thread of its own. `wake` is a function without arguments that may be called from any thread: see
 * bs_poller_watch. out: the poller, a list of struct bs_ready, its size in bytes, and the function (of the list and the
 * poller) to call when nobody will look at the list any more. `wake` has to be good until that has returned. */
BS_EXPORT int32_t bs_poller_open(void *wake, uint64_t *out);
/* Waits, once, until one of the events comes; BS_FAILED comes unasked, and can be asked for alone. What was armed for
 * the descriptor before is replaced. `known` is 1 where it was armed before and not disarmed. */
BS_EXPORT int32_t bs_poller_arm(void *poller, int32_t fd, int32_t events, uint32_t id, int32_t known);
/* Ends the waiting for a descriptor; what was ready already may still be told. To be called before it is closed. */
BS_EXPORT int32_t bs_poller_disarm(void *poller, int32_t fd);
/* Moves what is ready to the list, without waiting: how many. Where the list is full there may be more. */
BS_EXPORT int32_t bs_poller_take(void *poller);
/* `wake` is called when something is ready, once. */
BS_EXPORT int32_t bs_poller_watch(void *poller);
/* Asks the resolver in a thread of its own; when it has answered, the id is ready. A negative name_length: NULL. */
BS_EXPORT int32_t bs_resolve(void *poller, uint32_t id, int32_t kind, const void *name, int32_t name_length,
                             const char *service, int32_t family, int32_t type, int32_t protocol, int32_t flags);
/* The answer: result, out and failure as of the function that was asked. It is forgotten unless it does not fit. */
BS_EXPORT int32_t bs_resolved(void *poller, uint32_t id, void *out, uint64_t length, int32_t *failure);

/* ---- Texts of errors, in the system's words: UTF-8 without a NUL; the text's length ---- */

BS_EXPORT int32_t bs_strerror(int32_t error, void *out, uint64_t length);
BS_EXPORT int32_t bs_gai_strerror(int32_t failure, void *out, uint64_t length);
BS_EXPORT int32_t bs_hstrerror(int32_t failure, void *out, uint64_t length);

#endif
