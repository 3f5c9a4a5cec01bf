/* The loops of packets.ts in C. Reads lines `what bytes batch rounds`, answers each with nanoseconds a packet.
 * `packets fill port count bytes` fills a socket's queue, and ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 128, SIZE = 2048 };

static struct mmsghdr in[COUNT], out[COUNT];
static struct iovec in_piece[COUNT], out_piece[COUNT];
static struct sockaddr_storage in_name[COUNT];
static char in_data[COUNT][SIZE], out_data[COUNT][SIZE];

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int must(int r, const char *what) {
  if (r < 0) {
    perror(what);
    exit(1);
  }
  return r;
}

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
  for (int i = 0; i < COUNT; i++) {
    out_piece[i] = (struct iovec){out_data[i], bytes};
    out[i].msg_hdr =
        (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &out_piece[i], .msg_iovlen = 1};
  }
}

static void send_all(int fd) {
  for (int sent = 0; sent < COUNT;) sent += must(sendmmsg(fd, out + sent, (unsigned)(COUNT - sent), 0), "sendmmsg");
}

static void drain(int fd) {
  for (int i = 0; i < COUNT; i++) must((int)recv(fd, in_data[0], SIZE, 0), "recv");
}

/* What is received counts by its first byte, so that the data is looked at. */
static volatile unsigned sum;

static void receive_one_by_one(int fd) {
  for (int i = 0; i < COUNT; i++) {
    socklen_t n = sizeof in_name[0];
    must((int)recvfrom(fd, in_data[0], SIZE, 0, (void *)&in_name[0], &n), "recvfrom");
    sum += (unsigned char)in_data[0][0];
  }
}

static int receive_some(int fd, int batch) {
  int n = must(recvmmsg(fd, in, (unsigned)batch, MSG_WAITFORONE, NULL), "recvmmsg");
  for (int i = 0; i < n; i++) {
    sum += (unsigned char)in_data[i][0] + in[i].msg_len;
    in[i].msg_hdr.msg_namelen = sizeof in_name[i];
  }
  return n;
}

static void receive_batches(int fd, int batch) {
  for (int got = 0; got < COUNT;) got += receive_some(fd, batch);
}

static void send_one_by_one(int fd, struct sockaddr_in *to, size_t bytes) {
  for (int i = 0; i < COUNT; i++) must((int)sendto(fd, out_data[i], bytes, 0, (void *)to, sizeof *to), "sendto");
}

static void send_batches(int fd, int batch) {
  for (int sent = 0; sent < COUNT;) {
    int left = COUNT - sent;
    sent += must(sendmmsg(fd, out + sent, (unsigned)(left < batch ? left : batch), 0), "sendmmsg");
  }
}

/* What came goes on to `to`, as it lies there. */
static void forward(int fd, struct sockaddr_in *to, int batch) {
  for (int got = 0; got < COUNT;) {
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
  prepare_out(&there, bytes);
  for (int i = 0; i < COUNT; i++) prepare_in(i);
  int64_t spent = 0;
  for (int round = 0; round < rounds; round++) {
    int64_t start;
    if (!strcmp(what, "send")) {
      start = now();
      if (batch == 1) send_one_by_one(a, &there, bytes);
      else send_batches(a, batch);
      spent += now() - start;
      drain(b);
    } else if (!strcmp(what, "forward")) {
      send_all(a);
      start = now();
      forward(b, &here, batch);
      spent += now() - start;
      drain(a);
    } else {
      send_all(a);
      start = now();
      if (batch == 1) receive_one_by_one(b);
      else receive_batches(b, batch);
      spent += now() - start;
    }
  }
  close(a);
  close(b);
  return (double)spent / ((double)rounds * COUNT);
}

static void *idle(void *unused) {
  for (;;) pause();
  return unused;
}

static int fill(int port, int count, size_t bytes) {
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  for (int i = 0; i < count; i++) must((int)sendto(fd, out_data[0], bytes, 0, (void *)&to, sizeof to), "sendto");
  return 0;
}

/* A second thread that does nothing: Linux does more at every call of a process that has several, as those of Bun have. */
int main(int argc, char **argv) {
  if (argc == 5) return fill(atoi(argv[2]), atoi(argv[3]), (size_t)atoi(argv[4]));
  pthread_t thread;
  pthread_create(&thread, NULL, idle, NULL);
  char what[16];
  int bytes, batch, rounds;
  while (scanf("%15s %d %d %d", what, &bytes, &batch, &rounds) == 4) {
    printf("%.2f\n", run(what, (size_t)bytes, batch, rounds));
    fflush(stdout);
  }
}
