// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

_Static_assert(CHOST_NAME_SIZE == IFNAMSIZ, "an interface name has this room");

int chost_tun_open(char name[CHOST_NAME_SIZE], enum chost_tun_mode mode, unsigned *offloads) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, name, IFNAMSIZ - 1);
  unsigned flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (mode != CHOST_TUN_SINGLE_QUEUE) flags |= IFF_MULTI_QUEUE;
  if (mode == CHOST_TUN_FIRST_QUEUE) flags |= IFF_TUN_EXCL;
  request.ifr_flags = (short)flags;
  if (ioctl(fd, TUNSETIFF, &request) < 0) goto failed;
  memcpy(name, request.ifr_name, IFNAMSIZ);
  int header_size = 10;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0) goto failed;
  // A kernel refuses the whole set for one bit that it does not know. Segmentation of UDP came with
  // Linux 6.2; everything before it is as old as the header itself.
  const unsigned segmentation = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  const unsigned known[] = {~0u, TUN_F_CSUM | segmentation, TUN_F_CSUM, 0};
  const unsigned wanted = *offloads;
  for (size_t index = 0; index < sizeof known / sizeof *known; index++) {
    *offloads = wanted & known[index];
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)*offloads) == 0) return fd;
  }
failed:;
  int code = errno;
  close(fd);
  return -code;
}

int chost_poll_open(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int chost_poll_change(int poller, int operation, int fd, uint32_t events, uint64_t token) {
  static const int operations[] = {0, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
  if (operation < 1 || operation > 3) return -EINVAL;
  struct epoll_event event = {.events = events, .data.u64 = token};
  return epoll_ctl(poller, operations[operation], fd, &event) < 0 ? -errno : 0;
}

static int wait_milliseconds(int fd, struct epoll_event *events, int count, int64_t nanoseconds) {
  int64_t milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
  if (milliseconds > 86400000) milliseconds = 86400000;
  return epoll_wait(fd, events, count, (int)milliseconds);
}

int chost_poll_wait(int fd, struct chost_ready *ready, int count, int64_t nanoseconds) {
  struct epoll_event events[CHOST_READY_MAXIMUM];
  if (count > CHOST_READY_MAXIMUM) count = CHOST_READY_MAXIMUM;
  struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  int got = epoll_pwait2(fd, events, count, nanoseconds < 0 ? NULL : &timeout, NULL);
  // Kernels before 5.11 know milliseconds only.
  if (got < 0 && errno == ENOSYS) got = wait_milliseconds(fd, events, count, nanoseconds);
  if (got < 0) return errno == EINTR ? 0 : -errno;
  for (int index = 0; index < got; index++) {
    ready[index].token = events[index].data.u64;
    ready[index].events = events[index].events;
  }
  return got;
}

int chost_event_open(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

int chost_peer_credentials(int fd, int32_t *process, uint32_t *user, uint32_t *group) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  *process = credentials.pid;
  *user = credentials.uid;
  *group = credentials.gid;
  return 0;
}

int chost_file_open(const char *path, int flags, uint32_t mode) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
  } while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

int chost_file_lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0; }

int64_t chost_boot_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct start {
  void (*body)(void *);
  void *context;
};

static void *run(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  start.body(start.context);
  return NULL;
}

int chost_thread_start(const char *name, void (*body)(void *), void *context, uint64_t *thread) {
  _Static_assert(sizeof(pthread_t) <= sizeof *thread, "a thread's handle fits");
  struct start *start = malloc(sizeof *start);
  if (start == NULL) return -ENOMEM;
  start->body = body;
  start->context = context;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t handle;
  int code = pthread_create(&handle, NULL, run, start);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code != 0) {
    free(start);
    return -code;
  }
  pthread_setname_np(handle, name);
  *thread = (uint64_t)handle;
  return 0;
}

int chost_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }

void chost_thread_yield(void) { sched_yield(); }

int chost_thread_detach(uint64_t thread) { return -pthread_detach((pthread_t)thread); }

const char *chost_error_text(int code) {
  const char *text = strerrordesc_np(code);
  return text != NULL ? text : "unknown error";
}

int chost_unshare_network(void) { return unshare(CLONE_NEWNET) < 0 ? -errno : 0; }

int chost_enter_network(int fd) { return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0; }

int chost_unshare_mounts(void) {
  if (unshare(CLONE_NEWNS) < 0) return -errno;
  return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}
