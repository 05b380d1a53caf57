// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <netinet/tcp.h>
#include <unistd.h>

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

static int open_stream(const struct chost_endpoint *endpoint) {
  int family = endpoint->family == 4 ? AF_INET : AF_INET6;
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  return fd < 0 ? -errno : fd;
}

int chost_tcp_listen(const struct chost_endpoint *local, int v6_only, int backlog) {
  int fd = open_stream(local);
  if (fd < 0) return fd;
  union chost_address address;
  socklen_t length = chost_address_from(&address, local);
  if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
      (local->family != 4 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6_only != 0) < 0) ||
      bind(fd, &address.any, length) < 0 || listen(fd, backlog) < 0) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}

int chost_tcp_accept(int fd, struct chost_endpoint *remote) {
  union chost_address address;
  socklen_t length = sizeof address;
  int accepted = accept4(fd, &address.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (accepted < 0) return -errno;
  chost_endpoint_from(remote, &address);
  return accepted;
}

int chost_tcp_connect(const struct chost_endpoint *remote) {
  int fd = open_stream(remote);
  if (fd < 0) return fd;
  union chost_address address;
  socklen_t length = chost_address_from(&address, remote);
  if (connect(fd, &address.any, length) < 0 && errno != EINPROGRESS) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}

int chost_tcp_tune(int fd, int idle, int user_timeout) {
  int failed = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (idle > 0)
    failed |= set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) |
              set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  if (user_timeout > 0) failed |= set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout);
  return failed ? -errno : 0;
}

int chost_socket_error(int fd) {
  int code = 0;
  socklen_t length = sizeof code;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0 ? errno : code;
}

int chost_socket_end(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }
