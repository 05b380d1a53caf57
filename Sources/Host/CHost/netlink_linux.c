// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

// After the headers of the C library: it defines the same names otherwise.
#include <net/if.h>

int chost_netlink_open(uint32_t groups) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  int size = 1 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  int on = 1;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}

int chost_netlink_port(int fd, uint32_t *port) {
  struct sockaddr_nl address;
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
  *port = address.nl_pid;
  return 0;
}

ssize_t chost_netlink_send(int fd, const void *bytes, size_t count) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent;
  do {
    sent = sendto(fd, bytes, count, 0, (struct sockaddr *)&kernel, sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t chost_netlink_receive(int fd, void *buffer, size_t capacity, int milliseconds) {
  for (;;) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int ready = poll(&waiting, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return -errno;
    if (ready == 0) return -ETIMEDOUT;
    struct sockaddr_nl sender;
    socklen_t length = sizeof sender;
    ssize_t count =
        recvfrom(fd, buffer, capacity, MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&sender, &length);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return -errno;
    // Only the kernel speaks from port 0; anybody may send to a netlink socket.
    if (sender.nl_pid != 0) continue;
    return (size_t)count > capacity ? -EMSGSIZE : count;
  }
}

int chost_interface_index(const char *name) {
  unsigned index = if_nametoindex(name);
  return index == 0 ? -errno : (int)index;
}
