/*
 * The resolver beside the JavaScript thread: each question has a thread of its own. Part of the poller of each platform,
 * which has the lock, threads and memory, and the names of the errors.
 */
enum { ANSWER_BYTES = 16384 }; /* more than most answers have */

/* A question, then its answer. */
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

/* With the lock held; leaves it. */
static void leave(struct poller *p);
/* With the lock held: an answer is there. */
static void tell_answer(struct poller *p, struct question *q);
static int begin_thread(thread_function *run, void *argument);

static void forget_question(struct question *q) {
  if (q->answer) discard(q->answer);
  discard(q);
}

static void forget_answers(struct poller *p) {
  while (p->answered) {
    struct question *q = p->answered;
    p->answered = q->next;
    forget_question(q);
  }
}

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

THREAD resolve(void *question) {
  struct question *q = question;
  struct poller *p = q->poller;
  for (;;) {
    q->result = ask(q);
    if (q->result < 0 || (uint64_t)q->result <= q->room) break;
    uint64_t room = (uint64_t)q->result * 2;
    char *more = grow(q->answer, (size_t)room);
    if (!more) {
      q->result = -NO_MEMORY;
      break;
    }
    q->answer = more;
    q->room = room;
  }
  lock_poller(p);
  q->next = p->answered;
  p->answered = q;
  tell_answer(p, q);
  leave(p);
  return 0;
}

int32_t bs_resolve(void *poller, uint32_t id, int32_t kind, const void *name, int32_t name_length, const char *service,
                   int32_t family, int32_t type, int32_t protocol, int32_t flags) {
  struct poller *p = poller;
  struct question *q = allocate(sizeof *q);
  if (!q) return -NO_MEMORY;
  q->answer = allocate(ANSWER_BYTES);
  q->room = ANSWER_BYTES;
  size_t service_length = service ? length_of(service) : 0;
  /* The byte behind a name stays 0. No name of the system is that long. */
  if (!q->answer || name_length >= (int32_t)sizeof q->name || service_length >= sizeof q->service) {
    int32_t r = q->answer ? -NAME_TOO_LONG : -NO_MEMORY;
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
  lock_poller(p);
  p->users++;
  unlock_poller(p);
  int32_t r = begin_thread(resolve, q);
  if (r == 0) return 0;
  forget_question(q);
  lock_poller(p);
  leave(p);
  return r;
}

int32_t bs_resolved(void *poller, uint32_t id, void *out, uint64_t length, int32_t *failure) {
  struct poller *p = poller;
  int32_t r = -NOT_THERE;
  lock_poller(p);
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
  unlock_poller(p);
  return r;
}
