/* The loops of bench/ring.ts in C. Reads lines `way bytes frames`, answers how long the frames took, in nanoseconds each,
 * 0, and how many were lost. */
#include "peer.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { PROTOCOL = 0x88b5, BLOCK = 1 << 18, BLOCKS = 64 };

static int open_on_loopback(int protocol) {
  int fd = must(socket(AF_PACKET, SOCK_RAW, 0), "socket");
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
  name.sll_ifindex = (int)if_nametoindex("lo");
  int room = 1 << 29;
  must(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), "SO_RCVBUFFORCE");
  must(bind(fd, (void *)&name, sizeof name), "bind");
  return fd;
}

static void fill(int fd, int bytes, int frames) {
  static unsigned char frame[65536];
  frame[12] = PROTOCOL >> 8, frame[13] = PROTOCOL & 255;
  for (int i = 0; i < frames; i++) must((int)send(fd, frame, (size_t)bytes, 0), "send");
  usleep(50000); /* the last block is handed over */
}

/* What is added up, so that no loop is left out. */
static volatile uint64_t sum;

/* How many frames did not come. */
static int lost;

/* On a busy machine the kernel may be late; that time does not count. What does not come at all is lost. */
static int64_t wait_a_moment(int *late, int *frames) {
  int64_t start = now();
  if ((*late)++ == 300) lost = *frames, *frames = 0;
  usleep(1000);
  return now() - start;
}

static int64_t drain_ring(const char *way, uint8_t *ring, unsigned *next, int frames) {
  int with_bytes = !strcmp(way, "bytes");
  uint64_t all = 0;
  int64_t start = now();
  for (int late = 0; frames > 0;) {
    struct tpacket_block_desc *block = (void *)(ring + (size_t)*next * BLOCK);
    struct tpacket_hdr_v1 *head = &block->hdr.bh1;
    if (!(__atomic_load_n(&head->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      start += wait_a_moment(&late, &frames);
      continue;
    }
    uint8_t *at = (uint8_t *)block + head->offset_to_first_pkt;
    for (unsigned i = 0; i < head->num_pkts; i++) {
      struct tpacket3_hdr *h = (void *)at;
      all += h->tp_len + h->tp_nsec;
      if (with_bytes) all += at[h->tp_mac + 12];
      at += h->tp_next_offset;
    }
    frames -= (int)head->num_pkts;
    __atomic_store_n(&head->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    *next = (*next + 1) % BLOCKS;
  }
  sum = all;
  return now() - start;
}

static int64_t drain_queue(int fd, int frames) {
  static unsigned char frame[65536];
  struct sockaddr_ll from;
  uint64_t all = 0;
  int64_t start = now();
  for (int late = 0; frames > 0;) {
    socklen_t length = sizeof from;
    ssize_t r = recvfrom(fd, frame, 2048, MSG_DONTWAIT, (void *)&from, &length);
    if (r < 0) {
      start += wait_a_moment(&late, &frames);
      continue;
    }
    all += (uint64_t)r + frame[12];
    frames--;
  }
  sum = all;
  return now() - start;
}

int main(void) {
  int sender = open_on_loopback(0), queue = -1, ring = -1;
  unsigned next = 0;
  uint8_t *memory = NULL;
  char way[32];
  int bytes, frames;
  while (scanf("%31s %d %d", way, &bytes, &frames) == 3) {
    int64_t took;
    lost = 0;
    if (!strcmp(way, "recvfrom")) {
      if (queue < 0) queue = open_on_loopback(PROTOCOL);
      fill(sender, bytes, frames);
      took = drain_queue(queue, frames);
    } else {
      if (ring < 0) {
        int version = TPACKET_V3;
        struct tpacket_req3 r = {BLOCK, BLOCKS, 2048, BLOCK / 2048 * BLOCKS, 10, 0, 0};
        ring = must(socket(AF_PACKET, SOCK_RAW, 0), "socket");
        must(setsockopt(ring, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "PACKET_VERSION");
        must(setsockopt(ring, SOL_PACKET, PACKET_RX_RING, &r, sizeof r), "PACKET_RX_RING");
        memory = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
        if (memory == MAP_FAILED) must(-1, "mmap");
        struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL)};
        name.sll_ifindex = (int)if_nametoindex("lo");
        must(bind(ring, (void *)&name, sizeof name), "bind");
      }
      fill(sender, bytes, frames);
      took = drain_ring(way, memory, &next, frames);
    }
    if (queue >= 0 && strcmp(way, "recvfrom")) close(queue), queue = -1;
    if (ring >= 0 && !strcmp(way, "recvfrom")) munmap(memory, (size_t)BLOCK * BLOCKS), close(ring), ring = -1, next = 0;
    printf("%.3f 0 %d\n", (double)took / (frames - lost), lost);
    fflush(stdout);
  }
  return 0;
}
