/* Forks, and counts in each child the sockets that would be inherited by what it executes. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((visibility("default"))) int forks(int times) {
  int inherited = 0;
  for (int i = 0; i < times; i++) {
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (pid == 0) {
      int count = 0;
      for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD), type;
        socklen_t length = sizeof type;
        if (flags < 0 || flags & FD_CLOEXEC) continue;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0) count++;
      }
      _exit(count < 100 ? count : 100);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
    inherited += WEXITSTATUS(status);
  }
  return inherited;
}
