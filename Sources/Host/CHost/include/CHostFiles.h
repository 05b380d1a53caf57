// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of other kinds: TUN queues, poll sets, wake signals, locked files, peers of unix
// sockets.

#ifndef CHOST_FILES_H
#define CHOST_FILES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/// Room for an interface name and its closing zero.
#define CHOST_NAME_SIZE 16

/// How a TUN queue is to be opened.
enum chost_tun_mode {
  CHOST_TUN_SINGLE_QUEUE = 0,  // the only queue of its interface
  CHOST_TUN_FIRST_QUEUE = 1,   // the first of several: the interface must not exist yet
  CHOST_TUN_NEXT_QUEUE = 2,    // one more queue of an interface opened before
};

/// Opens a non-blocking TUN queue whose packets carry a 10-byte virtio header in host byte order.
///
/// `name` holds the wanted name, which may end in `%d`, and receives the one that was given.
/// `offloads` holds the offloads that are wanted (TUN_F_ bits) and receives those that the kernel
/// accepted: without what it does not know, newest first. Returns the descriptor.
int chost_tun_open(char name[CHOST_NAME_SIZE], enum chost_tun_mode mode, unsigned *offloads);

static inline ssize_t chost_read(int fd, void *buffer, size_t capacity) {
  ssize_t count;
  do {
    count = read(fd, buffer, capacity);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

static inline ssize_t chost_write(int fd, const void *bytes, size_t count) {
  ssize_t written;
  do {
    written = write(fd, bytes, count);
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : written;
}

static inline ssize_t chost_write_vectors(int fd, const struct iovec *vectors, int count) {
  ssize_t written;
  do {
    written = writev(fd, vectors, count);
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : written;
}

/// Something that a poll set found ready.
struct chost_ready {
  uint64_t token;
  uint32_t events;  // EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP
};

#define CHOST_READY_MAXIMUM 32

/// Waits until something is ready or `nanoseconds` have passed (for ever when negative).
///
/// Returns how many of `ready` were filled; zero also when a signal came.
int chost_poll_wait(int fd, struct chost_ready *ready, int count, int64_t nanoseconds);
/// Opens a poll set.
int chost_poll_open(void);
/// Adds (`operation` 1), changes (2) or removes (3) a descriptor.
int chost_poll_change(int poller, int operation, int fd, uint32_t events, uint64_t token);

/// Opens a non-blocking event counter.
int chost_event_open(void);

/// Who is at the other end of a unix socket (SO_PEERCRED).
int chost_peer_credentials(int fd, int32_t *process, uint32_t *user, uint32_t *group);

/// Opens a file by path; `mode` counts when it is created.
int chost_file_open(const char *path, int flags, uint32_t mode);
/// Takes the exclusive lock of a file without waiting: -EWOULDBLOCK when another holds it.
int chost_file_lock(int fd);

/// Nanoseconds since start, time asleep included (CLOCK_BOOTTIME).
int64_t chost_boot_nanoseconds(void);

/// A thread that runs `body(context)`, all signals blocked, under a name of at most 15 bytes.
int chost_thread_start(const char *name, void (*body)(void *), void *context, uint64_t *thread);
/// Waits for a thread to end.
int chost_thread_join(uint64_t thread);
/// Lets other threads have the processor first.
void chost_thread_yield(void);
/// Lets a thread end on its own.
int chost_thread_detach(uint64_t thread);

/// What an `errno` means, in a static string.
const char *chost_error_text(int code);

#endif
