/* The loops of hot-paths.ts in C. Reads lines `kind call bytes size rounds batch`, answers each with nanoseconds an operation. */
#include "peer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static char out[65536], in[65536];

static struct sockaddr_in loopback(int fd) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
  must(bind(fd, (void *)&a, sizeof a), "bind");
  socklen_t n = sizeof a;
  must(getsockname(fd, (void *)&a, &n), "getsockname");
  return a;
}

/* Two connected sockets, and the second one's address. */
static struct sockaddr_in connect_pair(const char *kind, int pair[2]) {
  struct sockaddr_in a = {0};
  if (!strcmp(kind, "unix")) {
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
  } else if (!strcmp(kind, "tcp")) {
    int server = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    a = loopback(server);
    must(listen(server, 1), "listen");
    pair[0] = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    must(connect(pair[0], (void *)&a, sizeof a), "connect");
    pair[1] = must(accept(server, NULL, NULL), "accept");
    close(server);
    int on = 1;
    setsockopt(pair[0], IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
  } else {
    pair[0] = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    pair[1] = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    loopback(pair[0]);
    a = loopback(pair[1]);
  }
  return a;
}

static void drain(int fd, size_t left) {
  while (left > 0) left -= (size_t)must((int)recv(fd, in, left < sizeof in ? left : sizeof in, 0), "drain");
}

static void drain_datagrams(int fd, int count) {
  while (count-- > 0) must((int)recv(fd, in, sizeof in, 0), "drain");
}

static double data(const char *kind, const char *op, size_t bytes, int rounds, int batch, size_t size) {
  int pair[2], a, b, datagrams = !strcmp(kind, "udp");
  struct sockaddr_in to = connect_pair(kind, pair);
  a = pair[0], b = pair[1];
  int addressed = !strcmp(op, "sendto") || !strcmp(op, "recvfrom");
  if (datagrams && !addressed) must(connect(a, (void *)&to, sizeof to), "connect");
  int64_t spent = 0;
  for (int round = 0; round < rounds; round++) {
    int sends = !strncmp(op, "send", 4);
    int64_t start = now();
    if (!strcmp(op, "sendto")) {
      for (int i = 0; i < batch; i++) must((int)sendto(a, out, bytes, 0, (void *)&to, sizeof to), op);
    } else if (!strcmp(op, "sendmsg")) {
      for (int i = 0; i < batch; i++) {
        struct iovec v = {out, bytes};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        must((int)sendmsg(a, &m, 0), op);
      }
    } else if (datagrams && addressed) {
      for (int i = 0; i < batch; i++) must((int)sendto(a, out, bytes, 0, (void *)&to, sizeof to), op);
    } else {
      for (int i = 0; i < batch; i++) must((int)send(a, out, bytes, 0), op);
    }
    if (sends) {
      spent += now() - start;
      if (datagrams) drain_datagrams(b, batch);
      else drain(b, bytes * (size_t)batch);
      continue;
    }
    start = now();
    if (!strcmp(op, "recvfrom")) {
      for (int i = 0; i < batch; i++) {
        struct sockaddr_storage from;
        socklen_t n = sizeof from;
        must((int)recvfrom(b, in, size, 0, (void *)&from, &n), op);
      }
    } else if (!strcmp(op, "recvmsg")) {
      for (int i = 0; i < batch; i++) {
        struct sockaddr_storage from;
        struct iovec v = {in, size};
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1};
        must((int)recvmsg(b, &m, 0), op);
      }
    } else {
      for (int i = 0; i < batch; i++) must((int)recv(b, in, size, 0), op);
    }
    spent += now() - start;
  }
  close(a);
  close(b);
  return (double)spent / ((double)rounds * batch);
}

static double accept_close(const char *kind, int rounds, int batch) {
  int tcp = !strcmp(kind, "tcp"), clients[batch];
  int server = must(socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0), "socket");
  struct sockaddr_in a = {0};
  struct sockaddr_un u = {.sun_family = AF_UNIX};
  socklen_t n = sizeof u;
  if (tcp) {
    a = loopback(server);
  } else {
    must(bind(server, (void *)&u, sizeof(sa_family_t)), "bind");
    must(getsockname(server, (void *)&u, &n), "getsockname");
  }
  must(listen(server, batch), "listen");
  int64_t spent = 0;
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < batch; i++) {
      clients[i] = must(socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0), "socket");
      must(tcp ? connect(clients[i], (void *)&a, sizeof a) : connect(clients[i], (void *)&u, n), "connect");
    }
    int64_t start = now();
    for (int i = 0; i < batch; i++) {
      struct sockaddr_storage from;
      socklen_t length = sizeof from;
      close(must(accept4(server, (void *)&from, &length, SOCK_CLOEXEC), "accept"));
    }
    spent += now() - start;
    for (int i = 0; i < batch; i++) close(clients[i]);
  }
  close(server);
  return (double)spent / ((double)rounds * batch);
}

static double option(const char *kind, int rounds, int batch) {
  int pair[2];
  connect_pair(kind, pair);
  int64_t start = now();
  for (int i = 0; i < rounds * batch; i++) {
    int value;
    socklen_t n = sizeof value;
    must(getsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &value, &n), "getsockopt");
  }
  double spent = (double)(now() - start);
  close(pair[0]);
  close(pair[1]);
  return spent / ((double)rounds * batch);
}

/* With an argument, it has a second thread. */
int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) start_idle_thread();
  char kind[16], op[32];
  int bytes, size, rounds, batch;
  while (scanf("%15s %31s %d %d %d %d", kind, op, &bytes, &size, &rounds, &batch) == 6) {
    double ns;
    if (!strcmp(op, "accept+close")) ns = accept_close(kind, rounds, batch);
    else if (!strcmp(op, "getsockopt")) ns = option(kind, rounds, batch);
    else ns = data(kind, op, (size_t)bytes, rounds, batch, (size_t)size);
    printf("%.2f\n", ns);
    fflush(stdout);
  }
}
