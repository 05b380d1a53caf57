// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint16_t checksum(const void *bytes, size_t count) {
  const uint8_t *next = bytes;
  uint32_t sum = 0;
  for (size_t index = 0; index + 1 < count; index += 2)
    sum += (uint32_t)next[index] << 8 | next[index + 1];
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return htons((uint16_t)~sum);
}

int64_t chost_icmp_echo(const struct chost_endpoint *to, uint32_t mark, int timeout_milliseconds) {
  // A raw socket needs a privilege, the other kind a setting of the system: whichever there is.
  int raw = 1;
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
  if (fd < 0) {
    raw = 0;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
  }
  if (fd < 0) return -errno;
  int64_t result = -ETIMEDOUT;
  if (mark != 0) setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
  union chost_address address;
  socklen_t length = chost_address_from(&address, to);
  struct {
    struct icmphdr header;
    uint8_t secret[16];
  } request, reply;
  memset(&request, 0, sizeof request);
  if (getrandom(request.secret, sizeof request.secret, 0) != sizeof request.secret ||
      getrandom(&request.header.un.echo.id, 2, 0) != 2 ||
      connect(fd, &address.any, length) < 0) {
    result = -errno;
    close(fd);
    return result;
  }
  request.header.type = ICMP_ECHO;
  request.header.un.echo.sequence = htons(1);
  request.header.checksum = checksum(&request, sizeof request);
  int64_t start = nanoseconds();
  int64_t end = start + (int64_t)timeout_milliseconds * 1000000;
  if (send(fd, &request, sizeof request, MSG_NOSIGNAL) < 0) {
    result = -errno;
    close(fd);
    return result;
  }
  for (int64_t now = start; now < end; now = nanoseconds()) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, (int)((end - now + 999999) / 1000000)) <= 0) continue;
    uint8_t buffer[256];
    ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    int64_t came = nanoseconds();
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      result = -errno;
      break;
    }
    size_t header = raw && count > 0 ? (size_t)(buffer[0] & 0x0F) * 4 : 0;
    if (count < (ssize_t)(header + sizeof reply)) continue;
    memcpy(&reply, buffer + header, sizeof reply);
    // What we drew tells our echo from everybody else's.
    if (reply.header.type == ICMP_ECHOREPLY &&
        memcmp(reply.secret, request.secret, sizeof reply.secret) == 0) {
      result = came - start;
      break;
    }
  }
  close(fd);
  return result;
}
