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
  ANSWER_BYTES = 16384, /* more than most answers of the resolver have */
};

/* A question to the resolver, then its answer. */
struct question {
  struct question *next;
  struct poller *poller;
  uint32_t id;
  int32_t kind, family, type, protocol, flags;
  int32_t name_length, has_name, has_service;
  int32_t failure, result;
  int told;
  char *answer;
  uint64_t room;
  char service[1040];
  char name[1040];
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

static void forget_question(struct question *q) {
  free(q->answer);
  free(q);
}

/* With the lock held; leaves it. */
static void leave(struct poller *p) {
  int users = --p->users;
  pthread_mutex_unlock(&p->lock.it);
  if (users > 0) return;
  if (p->queue >= 0) close(p->queue);
  if (p->waiting >= 0) close(p->waiting);
  if (p->alarm >= 0) close(p->alarm);
  if (p->bell >= 0) close(p->bell);
  while (p->answered) {
    struct question *q = p->answered;
    p->answered = q->next;
    forget_question(q);
  }
  pthread_mutex_destroy(&p->lock.it);
  free(p);
}

#if defined(__linux__)
static uint32_t wanted(int32_t events) {
  return EPOLLET | (events & BS_READABLE ? EPOLLIN : 0) | (events & BS_WRITABLE ? EPOLLOUT : 0) |
         (events & BS_URGENT ? EPOLLPRI : 0);
}

static int32_t found(uint32_t events) {
  return (events & EPOLLIN ? BS_READABLE : 0) | (events & EPOLLOUT ? BS_WRITABLE : 0) |
         (events & EPOLLPRI ? BS_URGENT : 0) | (events & (EPOLLERR | EPOLLHUP) ? BS_FAILED : 0);
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
static void tell_answer(struct poller *p) { ring(p->bell); }

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
static void tell_answer(struct poller *p) { ring(p->queue); }

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

static void *wait_on(void *poller) {
  struct poller *p = poller;
  for (;;) {
    wait_ready(p);
    /* While the lock is held the JavaScript thread does not end (see gone), and its function can be called. */
    pthread_mutex_lock(&p->lock.it);
    if (p->gone) break;
    p->wake();
    pthread_mutex_unlock(&p->lock.it);
  }
  leave(p);
  return NULL;
}

/* The JavaScript thread ends, or has forgotten the poller: the engine frees JavaScript's view. It does that before it frees
 * anything else, the function that wakes included. */
static void gone(void *shown, void *poller) {
  (void)shown;
  struct poller *p = poller;
  pthread_mutex_lock(&p->lock.it);
  p->gone = 1;
  end_wait(p);
  leave(p);
}

/* A thread that gets no signal: they are for those of JavaScript. */
static int begin_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) pthread_detach(thread);
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
    pthread_mutex_lock(&p->lock.it);
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
  pthread_mutex_lock(&p->lock.it);
  for (struct question *q = p->answered; q; q = q->next) {
    if (q->told) continue;
    if (count == READY_MAX) {
      tell_answer(p); /* the rest is for the next time */
      break;
    }
    q->told = 1;
    p->shown[count++] = (struct bs_ready){q->id, BS_READABLE};
  }
  pthread_mutex_unlock(&p->lock.it);
  return count;
}

/* ---- The resolver ---- */

static int32_t ask(struct question *q) {
  const char *name = q->has_name ? q->name : NULL;
  switch (q->kind) {
  case BS_GETADDRINFO:
    return bs_getaddrinfo(name, q->has_service ? q->service : NULL, q->family, q->type, q->protocol, q->flags,
                          q->answer, q->room, &q->failure);
  case BS_GETNAMEINFO:
    return bs_getnameinfo(q->name, q->name_length, q->flags, q->answer, q->room, &q->failure);
  case BS_GETHOSTBYNAME: return bs_gethostbyname(q->name, q->answer, q->room, &q->failure);
  default: return bs_gethostbyaddr(q->name, q->name_length, q->family, q->answer, q->room, &q->failure);
  }
}

static void *resolve(void *question) {
  struct question *q = question;
  struct poller *p = q->poller;
  for (;;) {
    q->result = ask(q);
    if (q->result < 0 || (uint64_t)q->result <= q->room) break;
    uint64_t room = (uint64_t)q->result * 2;
    char *more = realloc(q->answer, room);
    if (!more) {
      q->result = -ENOMEM;
      break;
    }
    q->answer = more;
    q->room = room;
  }
  pthread_mutex_lock(&p->lock.it);
  q->next = p->answered;
  p->answered = q;
  tell_answer(p);
  leave(p);
  return NULL;
}

int32_t bs_resolve(void *poller, uint32_t id, int32_t kind, const void *name, int32_t name_length, const char *service,
                   int32_t family, int32_t type, int32_t protocol, int32_t flags) {
  struct poller *p = poller;
  struct question *q = calloc(1, sizeof *q);
  if (!q) return -ENOMEM;
  q->answer = malloc(ANSWER_BYTES);
  q->room = ANSWER_BYTES;
  size_t service_length = service ? strlen(service) : 0;
  /* The byte behind a name stays 0. No name of the system is that long. */
  if (!q->answer || name_length >= (int32_t)sizeof q->name || service_length >= sizeof q->service) {
    int32_t r = q->answer ? -ENAMETOOLONG : -ENOMEM;
    forget_question(q);
    return r;
  }
  q->poller = p;
  q->id = id;
  q->kind = kind;
  q->has_name = name_length >= 0;
  q->has_service = service != NULL;
  q->name_length = name_length;
  if (name_length > 0) memcpy(q->name, name, (size_t)name_length);
  if (service) memcpy(q->service, service, service_length);
  q->family = family;
  q->type = type;
  q->protocol = protocol;
  q->flags = flags;
  pthread_mutex_lock(&p->lock.it);
  p->users++;
  pthread_mutex_unlock(&p->lock.it);
  int32_t r = begin_thread(resolve, q);
  if (r == 0) return 0;
  forget_question(q);
  pthread_mutex_lock(&p->lock.it);
  leave(p);
  return r;
}

int32_t bs_resolved(void *poller, uint32_t id, void *out, uint64_t length, int32_t *failure) {
  struct poller *p = poller;
  int32_t r = -ENOENT;
  pthread_mutex_lock(&p->lock.it);
  for (struct question **at = &p->answered; *at; at = &(*at)->next) {
    struct question *q = *at;
    if (q->id != id) continue;
    r = q->result;
    *failure = q->failure;
    if (r > 0 && (uint64_t)r > length) break; /* to be asked for again, with room */
    if (r > 0) memcpy(out, q->answer, (size_t)r);
    *at = q->next;
    forget_question(q);
    break;
  }
  pthread_mutex_unlock(&p->lock.it);
  return r;
}
