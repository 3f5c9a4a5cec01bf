/* The loops of packets.ts in C. Reads lines `what bytes batch rounds`, answers each with nanoseconds a packet and the share
 * that was lost: none, or it would wait for ever.
 *
 * `packets fill port count bytes` fills a socket's queue, and `packets flood port bytes ms` sends for so long, as fast as it
 * can, and prints how many. `packets workers count bytes ms` is workers.ts in C. */
#include "peer.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

enum { COUNT = 128, COUNT_MAX = 1024, SIZE = 2048, SEGMENTS = 65536 };

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

static struct mmsghdr in[COUNT_MAX], out[COUNT_MAX];
static struct iovec in_piece[COUNT_MAX], out_piece[COUNT_MAX];
static struct sockaddr_storage in_name[COUNT_MAX];
static char in_data[COUNT_MAX][SIZE], out_data[COUNT_MAX][SIZE];

/* How many packets there are in a round: those of the batch, or COUNT if it is small. */
static int count;

static int udp(struct sockaddr_in *a) {
  int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), room = 4 << 20;
  *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  must(bind(fd, (void *)a, sizeof *a), "bind");
  socklen_t n = sizeof *a;
  must(getsockname(fd, (void *)a, &n), "getsockname");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  return fd;
}

static void prepare_in(int i) {
  in_piece[i] = (struct iovec){in_data[i], SIZE};
  in[i].msg_hdr = (struct msghdr){
      .msg_name = &in_name[i], .msg_namelen = sizeof in_name[i], .msg_iov = &in_piece[i], .msg_iovlen = 1};
}

static void prepare_out(struct sockaddr_in *to, size_t bytes) {
  for (int i = 0; i < count; i++) {
    out_piece[i] = (struct iovec){out_data[i], bytes};
    out[i].msg_hdr =
        (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &out_piece[i], .msg_iovlen = 1};
  }
}

static void drain(int fd) {
  for (int i = 0; i < count; i++) must((int)recv(fd, in_data[0], SIZE, 0), "recv");
}

/* What is received counts by its first byte, so that the data is looked at. */
static volatile unsigned sum;

static void receive_one(int fd) {
  socklen_t n = sizeof in_name[0];
  must((int)recvfrom(fd, in_data[0], SIZE, 0, (void *)&in_name[0], &n), "recvfrom");
  sum += (unsigned char)in_data[0][0];
}

static int receive_some(int fd, int batch) {
  int n = must(recvmmsg(fd, in, (unsigned)batch, MSG_WAITFORONE, NULL), "recvmmsg");
  for (int i = 0; i < n; i++) {
    sum += (unsigned char)in_data[i][0] + in[i].msg_len;
    in[i].msg_hdr.msg_namelen = sizeof in_name[i];
  }
  return n;
}

static void receive(int fd, int batch) {
  if (batch == 1) {
    for (int i = 0; i < count; i++) receive_one(fd);
  } else {
    for (int got = 0; got < count;) got += receive_some(fd, batch);
  }
}

static void send_one(int fd, size_t bytes, struct sockaddr_in *to) {
  must((int)sendto(fd, out_data[0], bytes, 0, (void *)to, sizeof *to), "sendto");
}

static void send_batches(int fd, int batch) {
  for (int sent = 0; sent < count;) {
    int left = count - sent;
    sent += must(sendmmsg(fd, out + sent, (unsigned)(left < batch ? left : batch), 0), "sendmmsg");
  }
}

static void send_out(int fd, struct sockaddr_in *to, size_t bytes, int batch) {
  if (batch == 1) {
    for (int i = 0; i < count; i++) send_one(fd, bytes, to);
  } else {
    send_batches(fd, batch);
  }
}

/* What came goes on to `to`, as it lies there. */
static void forward(int fd, struct sockaddr_in *to, int batch, size_t bytes) {
  for (int got = 0; got < count;) {
    if (batch == 1) {
      receive_one(fd);
      must((int)sendto(fd, in_data[0], bytes, 0, (void *)to, sizeof *to), "sendto");
      got++;
      continue;
    }
    int n = receive_some(fd, batch);
    for (int i = 0; i < n; i++) {
      in_piece[i].iov_len = in[i].msg_len;
      in[i].msg_hdr.msg_name = to;
      in[i].msg_hdr.msg_namelen = sizeof *to;
    }
    for (int sent = 0; sent < n;) sent += must(sendmmsg(fd, in + sent, (unsigned)(n - sent), 0), "sendmmsg");
    for (int i = 0; i < n; i++) prepare_in(i);
    got += n;
  }
}

static double run(const char *what, size_t bytes, int batch, int rounds) {
  struct sockaddr_in here, there;
  int a = udp(&here), b = udp(&there);
  count = batch > COUNT ? batch : COUNT;
  prepare_out(&there, bytes);
  for (int i = 0; i < count; i++) prepare_in(i);
  int64_t spent = 0;
  for (int round = 0; round < rounds; round++) {
    int64_t start;
    if (!strcmp(what, "send")) {
      start = now();
      send_out(a, &there, bytes, batch);
      spent += now() - start;
      drain(b);
    } else if (!strcmp(what, "forward")) {
      send_batches(a, COUNT);
      start = now();
      forward(b, &here, batch, bytes);
      spent += now() - start;
      drain(a);
    } else {
      send_batches(a, COUNT);
      start = now();
      receive(b, batch);
      spent += now() - start;
    }
  }
  close(a);
  close(b);
  return (double)spent / ((double)rounds * count);
}

/* A window of packets, cut by the kernel and put together again. */
static double segments(size_t bytes, int window, int rounds) {
  static char data[SEGMENTS];
  struct sockaddr_in here, there;
  int a = udp(&here), b = udp(&there), on = 1, size = (int)bytes;
  must(setsockopt(a, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size), "UDP_SEGMENT");
  must(setsockopt(b, IPPROTO_UDP, UDP_GRO, &on, sizeof on), "UDP_GRO");
  must(connect(a, (void *)&there, sizeof there), "connect");
  int most = 65507 / size < 64 ? 65507 / size : 64;
  int64_t start = now();
  for (int round = 0; round < rounds; round++) {
    for (int left = window; left > 0;) {
      int some = left < most ? left : most;
      must((int)send(a, data, (size_t)some * bytes, 0), "send");
      left -= some;
    }
    for (int left = window; left > 0;) {
      int n = must((int)recv(b, data, sizeof data, 0), "recv") / size;
      for (int i = 0; i < n; i++) sum += (unsigned char)data[i * size];
      left -= n;
    }
  }
  close(a);
  close(b);
  return (double)(now() - start) / ((double)rounds * window);
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int fill(int port, int count, size_t bytes) {
  struct sockaddr_in to = loopback(port);
  int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  for (int i = 0; i < count; i++) send_one(fd, bytes, &to);
  return 0;
}

/* From many ports: by them the kernel chooses among the sockets of a group. */
static int flood(int port, size_t bytes, int ms) {
  enum { PORTS = 64, BATCH = 32 };
  struct sockaddr_in to = loopback(port);
  int fds[PORTS];
  long sent = 0;
  for (int i = 0; i < PORTS; i++) fds[i] = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  count = BATCH;
  prepare_out(&to, bytes);
  int64_t end = now() + (int64_t)ms * 1000000;
  for (int i = 0; now() < end; i = (i + 1) % PORTS) sent += must(sendmmsg(fds[i], out, BATCH, 0), "sendmmsg");
  printf("%ld\n", sent);
  return 0;
}

static atomic_long received;

static void *work(void *arg) {
  enum { BATCH = 64 };
  struct mmsghdr messages[BATCH] = {0};
  struct iovec pieces[BATCH];
  char *data = malloc(BATCH * SIZE);
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){data + i * SIZE, SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  for (;;) received += must(recvmmsg((int)(intptr_t)arg, messages, BATCH, MSG_WAITFORONE, NULL), "recvmmsg");
}

/* Threads, each with its socket of one group: nanoseconds a received packet, and the share that was lost. */
static int workers(const char *self, int threads, int bytes, int ms) {
  struct sockaddr_in a = loopback(0);
  for (int i = 0; i < threads; i++) {
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), on = 1, room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
    must(bind(fd, (void *)&a, sizeof a), "bind");
    socklen_t n = sizeof a;
    must(getsockname(fd, (void *)&a, &n), "getsockname");
    pthread_t thread;
    pthread_create(&thread, NULL, work, (void *)(intptr_t)fd);
  }
  char command[4096];
  snprintf(command, sizeof command, "'%s' flood %d %d %d", self, ntohs(a.sin_port), bytes, ms);
  long sent = 0;
  for (int turn = 0; turn < 2; turn++) { /* the first warms up */
    received = 0;
    FILE *flood = popen(command, "r");
    if (!flood || fscanf(flood, "%ld", &sent) != 1) must(-1, "flood");
    pclose(flood);
    for (long before = -1; before != received; usleep(100000)) before = received; /* what is queued is still taken */
  }
  printf("%.2f %.6f\n", ms * 1e6 / (double)received, 1 - (double)received / (double)sent);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5) {
    int a = atoi(argv[2]), b = atoi(argv[3]), c = atoi(argv[4]);
    if (!strcmp(argv[1], "fill")) return fill(a, b, (size_t)c);
    if (!strcmp(argv[1], "flood")) return flood(a, (size_t)b, c);
    return workers(argv[0], a, b, c);
  }
  start_idle_thread();
  char what[16];
  int bytes, batch, rounds;
  while (scanf("%15s %d %d %d", what, &bytes, &batch, &rounds) == 4) {
    double ns = strcmp(what, "there") ? run(what, (size_t)bytes, batch, rounds) : segments((size_t)bytes, batch, rounds);
    printf("%.2f 0\n", ns);
    fflush(stdout);
  }
}
