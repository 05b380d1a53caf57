// SPDX-License-Identifier: Apache-2.0
//
// TCP without waiting. What is done for every piece of data is inline, as for datagrams.

#ifndef CHOST_STREAMS_H
#define CHOST_STREAMS_H

#include "CHostDatagrams.h"

/// Listens on `local`; on IPv6 only where `v6_only` says so. Port 0 lets the system choose.
int chost_tcp_listen(const struct chost_endpoint *local, int v6_only, int backlog);

/// The next connection that waits, and who it is from.
int chost_tcp_accept(int fd, struct chost_endpoint *remote);

/// Begins to connect; a descriptor at once, which is writable once it is connected.
int chost_tcp_connect(const struct chost_endpoint *remote);

/// No delays for small writes; keepalives after `idle` seconds, giving up after `user_timeout`
/// milliseconds without an acknowledgement.
int chost_tcp_tune(int fd, int idle, int user_timeout);

/// What went wrong with a connection: zero or an `errno`.
int chost_socket_error(int fd);

/// Tells the other side that no more comes.
int chost_socket_end(int fd);

static inline ssize_t chost_stream_receive(int fd, void *buffer, size_t count) {
  ssize_t result;
  do result = recv(fd, buffer, count, 0);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

static inline ssize_t chost_stream_send(int fd, const void *buffer, size_t count) {
  ssize_t result;
  do result = send(fd, buffer, count, MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

#endif
