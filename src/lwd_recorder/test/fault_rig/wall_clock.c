/* Preloaded into a process: its wall clock is off by as many seconds as the file named by WALL_CLOCK_OFFSET says now. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *offset_s(void) {
  static const volatile long *mapped;
  static const long none = 0;
  if (!mapped) {
    const char *name = getenv("WALL_CLOCK_OFFSET");
    int file = name ? open(name, O_RDONLY) : -1;
    void *memory = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    mapped = memory == MAP_FAILED ? &none : memory;
  }
  return mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, clock, now);
  if (!result && clock == CLOCK_REALTIME) now->tv_sec += *offset_s();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec real;
  int result = clock_gettime(CLOCK_REALTIME, &real);
  now->tv_sec = real.tv_sec;
  now->tv_usec = real.tv_nsec / 1000;
  return result;
}

time_t time(time_t *into) {
  struct timespec real;
  clock_gettime(CLOCK_REALTIME, &real);
  if (into) *into = real.tv_sec;
  return real.tv_sec;
}
