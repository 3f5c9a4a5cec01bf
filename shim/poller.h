/*
 * Waiting beside the JavaScript thread, for Linux (epoll), macOS and the BSDs (kqueue). Part of posix.c.
 *
 * A queue of the system knows the descriptors; the JavaScript thread takes what is ready from it, without waiting. One
 * thread for each thread of JavaScript waits for the queue as a whole, and only while it was told to: it rings once, and
 * touches nothing.
 */
#include <pthread.h>
#include <signal.h>
#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#else
#include <sys/event.h>
#endif

enum {
  READY_MAX = 256,      /* taken at once */
};

struct poller {
  /* glibc's and musl's differ in size, and the library is compiled for both. */
  union {
    pthread_mutex_t it;
    char room[128];
  } lock;
  void (*wake)(void);
  int queue;   /* of the descriptors */
  int waiting; /* the thread's own: the queue, and an alarm that ends the thread */
  int alarm, bell; /* Linux: eventfds, the bell being in the queue for the resolver's answers */
  int users; /* JavaScript's memory, the waiting thread, each question */
  int gone;  /* the JavaScript thread: nothing may be called any more */
  struct bs_ready shown[READY_MAX]; /* JavaScript's view */
  struct question *answered;
};

static void lock_poller(struct poller *p) { pthread_mutex_lock(&p->lock.it); }
static void unlock_poller(struct poller *p) { pthread_mutex_unlock(&p->lock.it); }

typedef void *thread_function(void *);
#define THREAD static void *
static void *allocate(size_t n) { return calloc(1, n); }
static void *grow(void *memory, size_t n) { return realloc(memory, n); }
static void discard(void *memory) { free(memory); }
static size_t length_of(const char *text) { return strlen(text); }
enum { NO_MEMORY = ENOMEM, NAME_TOO_LONG = ENAMETOOLONG, NOT_THERE = ENOENT };

#include "resolver.h"

/* With the lock held; leaves it. */
static void leave(struct poller *p) {
  int users = --p->users;
  unlock_poller(p);
  if (users > 0) return;
  if (p->queue >= 0) close(p->queue);
  if (p->waiting >= 0) close(p->waiting);
  if (p->alarm >= 0) close(p->alarm);
  if (p->bell >= 0) close(p->bell);
  forget_answers(p);
  pthread_mutex_destroy(&p->lock.it);
  free(p);
}

#if defined(__linux__)
static uint32_t wanted(int32_t events) {
  return EPOLLET | (events & BS_READABLE ? EPOLLIN | EPOLLRDHUP | EPOLLPRI : 0) | (events & BS_WRITABLE ? EPOLLOUT : 0) |
         (events & BS_URGENT ? EPOLLPRI : 0);
}

static int32_t found(uint32_t events) {
  return (events & EPOLLIN ? BS_READABLE : 0) | (events & EPOLLOUT ? BS_WRITABLE : 0) |
         (events & EPOLLPRI ? BS_URGENT : 0) | (events & (EPOLLERR | EPOLLHUP) ? BS_FAILED : 0) |
         (events & (EPOLLRDHUP | EPOLLPRI) ? BS_MORE : 0);
}

/* The ids of what is no descriptor of JavaScript's. */
static const uint64_t alarm_id = UINT64_MAX, bell_id = UINT64_MAX - 1;

static int open_queues(struct poller *p) {
  p->queue = epoll_create1(EPOLL_CLOEXEC);
  p->waiting = epoll_create1(EPOLL_CLOEXEC);
  p->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (p->queue < 0 || p->waiting < 0 || p->alarm < 0 || p->bell < 0) return -errno;
  struct epoll_event alarm = {.events = EPOLLIN, .data = {.u64 = alarm_id}};
  struct epoll_event bell = {.events = EPOLLIN | EPOLLET, .data = {.u64 = bell_id}};
  struct epoll_event all = {.events = EPOLLONESHOT};
  int failed = epoll_ctl(p->waiting, EPOLL_CTL_ADD, p->alarm, &alarm) | epoll_ctl(p->queue, EPOLL_CTL_ADD, p->bell, &bell) |
               epoll_ctl(p->waiting, EPOLL_CTL_ADD, p->queue, &all);
  return failed ? -errno : 0;
}

static void ring(int eventfd) {
  uint64_t one = 1;
  if (write(eventfd, &one, sizeof one) < 0) return; /* it is set already */
}

static void end_wait(struct poller *p) { ring(p->alarm); }
static void ring_bell(struct poller *p) { ring(p->bell); }

static void wait_ready(struct poller *p) {
  struct epoll_event event;
  epoll_wait(p->waiting, &event, 1, -1);
}

int32_t bs_poller_watch(void *poller) {
  struct poller *p = poller;
  struct epoll_event all = {.events = EPOLLONESHOT | EPOLLIN};
  return result(epoll_ctl(p->waiting, EPOLL_CTL_MOD, p->queue, &all));
}

/* What is ready now; whether there was a bell. */
static int take_ready(struct poller *p, int *count) {
  struct epoll_event events[READY_MAX];
  int n = epoll_wait(p->queue, events, READY_MAX, 0), rang = 0;
  for (int i = 0; i < n; i++) {
    if (events[i].data.u64 == bell_id) rang = 1;
    else p->shown[(*count)++] = (struct bs_ready){(uint32_t)events[i].data.u64, found(events[i].events)};
  }
  return rang;
}

int32_t bs_poller_arm(void *poller, int32_t fd, int32_t events, uint32_t id, int32_t known) {
  struct poller *p = poller;
  struct epoll_event e = {.events = wanted(events), .data = {.u64 = id}};
  int first = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(p->queue, first, fd, &e) == 0) return 0;
  if (errno != (known ? ENOENT : EEXIST)) return -errno;
  return result(epoll_ctl(p->queue, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e));
}

int32_t bs_poller_disarm(void *poller, int32_t fd) {
  struct poller *p = poller;
  struct epoll_event unused = {0};
  return result(epoll_ctl(p->queue, EPOLL_CTL_DEL, fd, &unused));
}
#else
/* Which of a socket's events are whose: one filter each. */
static int32_t found(const struct kevent *e) {
  int32_t failed = e->flags & (EV_EOF | EV_ERROR) ? BS_FAILED : 0;
  if (e->filter == EVFILT_READ) return failed | BS_READABLE;
  return failed | (e->filter == EVFILT_WRITE ? BS_WRITABLE : BS_URGENT);
}

static int open_queues(struct poller *p) {
  p->queue = kqueue();
  p->waiting = kqueue();
  if (p->queue < 0 || p->waiting < 0) return -errno;
  fcntl(p->queue, F_SETFD, FD_CLOEXEC);
  fcntl(p->waiting, F_SETFD, FD_CLOEXEC);
  struct kevent e;
  EV_SET(&e, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
  return kevent(p->queue, &e, 1, NULL, 0, NULL) < 0 || kevent(p->waiting, &e, 1, NULL, 0, NULL) < 0 ? -errno : 0;
}

static void ring(int queue) {
  struct kevent e;
  EV_SET(&e, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  kevent(queue, &e, 1, NULL, 0, NULL);
}

static void end_wait(struct poller *p) { ring(p->waiting); }
static void ring_bell(struct poller *p) { ring(p->queue); }

static void wait_ready(struct poller *p) {
  struct kevent event;
  kevent(p->waiting, NULL, 0, &event, 1, NULL);
}

int32_t bs_poller_watch(void *poller) {
  struct poller *p = poller;
  struct kevent e;
  EV_SET(&e, p->queue, EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 0, NULL);
  return result(kevent(p->waiting, &e, 1, NULL, 0, NULL));
}

static int take_ready(struct poller *p, int *count) {
  struct kevent events[READY_MAX];
  struct timespec now = {0};
  int n = kevent(p->queue, NULL, 0, events, READY_MAX, &now), rang = 0;
  for (int i = 0; i < n; i++) {
    if (events[i].filter == EVFILT_USER) rang = 1;
    else p->shown[(*count)++] = (struct bs_ready){(uint32_t)(uintptr_t)events[i].udata, found(&events[i])};
  }
  return rang;
}

int32_t bs_poller_arm(void *poller, int32_t fd, int32_t events, uint32_t id, int32_t known) {
  struct poller *p = poller;
  (void)known;
  struct kevent e[3];
  void *data = (void *)(uintptr_t)id;
  int n = 0;
  if (events & (BS_READABLE | BS_FAILED)) EV_SET(&e[n++], fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, data);
  if (events & BS_WRITABLE) EV_SET(&e[n++], fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT, 0, 0, data);
  if (events & BS_URGENT) {
#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB)
    EV_SET(&e[n++], fd, EVFILT_EXCEPT, EV_ADD | EV_ONESHOT, NOTE_OOB, 0, data);
#else
    EV_SET(&e[n++], fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, data);
#endif
  }
  return result(kevent(p->queue, e, n, NULL, 0, NULL));
}

int32_t bs_poller_disarm(void *poller, int32_t fd) {
  struct poller *p = poller;
  struct kevent e;
  EV_SET(&e, fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
  kevent(p->queue, &e, 1, NULL, 0, NULL); /* one that is not there is no matter */
  EV_SET(&e, fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
  kevent(p->queue, &e, 1, NULL, 0, NULL);
#if defined(EVFILT_EXCEPT)
  EV_SET(&e, fd, EVFILT_EXCEPT, EV_DELETE, 0, 0, NULL);
  kevent(p->queue, &e, 1, NULL, 0, NULL);
#endif
  return 0;
}
#endif

static void tell_answer(struct poller *p, struct question *q) {
  (void)q; /* see bs_poller_take */
  ring_bell(p);
}

THREAD wait_on(void *poller) {
  struct poller *p = poller;
  for (;;) {
    wait_ready(p);
    /* While the lock is held the JavaScript thread does not end (see gone), and its function can be called. */
    lock_poller(p);
    if (p->gone) break;
    p->wake();
    unlock_poller(p);
  }
  leave(p);
  return NULL;
}

/* The JavaScript thread ends, or has forgotten the poller: the engine frees JavaScript's view. It does that before it frees
 * anything else, the function that wakes included. */
static void gone(void *shown, void *poller) {
  (void)shown;
  struct poller *p = poller;
  lock_poller(p);
  p->gone = 1;
  end_wait(p);
  leave(p);
}

/* A thread that gets no signal: they are for those of JavaScript. It is detached from the beginning: glibc's pthread_detach
 * reads the memory of a thread that may have ended, and be gone, meanwhile. */
static int begin_thread(thread_function *run, void *argument) {
  pthread_t thread;
  union {
    pthread_attr_t it;
    char room[128]; /* as for the lock of a poller */
  } detached;
  sigset_t all, before;
  int error = pthread_attr_init(&detached.it);
  if (error) return -error;
  pthread_attr_setdetachstate(&detached.it, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&thread, &detached.it, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&detached.it);
  return -error;
}

int32_t bs_poller_open(void *wake, uint64_t *out) {
  struct poller *p = calloc(1, sizeof *p);
  if (!p) return -ENOMEM;
  p->wake = (void (*)(void))wake;
  p->queue = p->waiting = p->alarm = p->bell = -1;
  p->users = 2;
  pthread_mutex_init(&p->lock.it, NULL);
  int32_t r = open_queues(p);
  if (r == 0) r = begin_thread(wait_on, p);
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

int32_t bs_poller_take(void *poller) {
  struct poller *p = poller;
  int count = 0;
  if (!take_ready(p, &count)) return count;
  lock_poller(p);
  for (struct question *q = p->answered; q; q = q->next) {
    if (q->told) continue;
    if (count == READY_MAX) {
      ring_bell(p); /* the rest is for the next time */
      break;
    }
    q->told = 1;
    p->shown[count++] = (struct bs_ready){q->id, BS_READABLE};
  }
  unlock_poller(p);
  return count;
}
