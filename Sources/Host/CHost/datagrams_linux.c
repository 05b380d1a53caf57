// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <fcntl.h>
#include <unistd.h>

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

static int buffer_size(int fd, int option, int forced_option, int wanted) {
  if (wanted > 0 && set_int(fd, SOL_SOCKET, forced_option, wanted) < 0)
    set_int(fd, SOL_SOCKET, option, wanted);
  int size = 0;
  socklen_t length = sizeof size;
  getsockopt(fd, SOL_SOCKET, option, &size, &length);
  return size;
}

int chost_udp_open(const struct chost_endpoint *local, int wanted_buffer, uint32_t mark, int joins,
                   struct chost_udp_features *features) {
  memset(features, 0, sizeof *features);
  int family = local->family == 4 ? AF_INET : AF_INET6;
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0) return -errno;
  if (family == AF_INET6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0) goto failed;
  if (joins && chost_udp_share(fd) < 0) goto failed;
  if (mark != 0) features->marked = set_int(fd, SOL_SOCKET, SO_MARK, (int)mark) == 0;
  features->receive_buffer_size = buffer_size(fd, SO_RCVBUF, SO_RCVBUFFORCE, wanted_buffer);
  features->send_buffer_size = buffer_size(fd, SO_SNDBUF, SO_SNDBUFFORCE, wanted_buffer);
  features->segmentation_offload = set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0) == 0;
  features->receive_offload = set_int(fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
  features->traffic_class = (family == AF_INET ? set_int(fd, IPPROTO_IP, IP_RECVTOS, 1)
                                               : set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)) == 0;
  union chost_address address;
  socklen_t length = chost_address_from(&address, local);
  if (bind(fd, &address.any, length) < 0) goto failed;
  return fd;
failed:;
  int code = errno;
  close(fd);
  return -code;
}

int chost_local_endpoint(int fd, struct chost_endpoint *endpoint) {
  union chost_address address;
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) < 0) return -errno;
  if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6) return -EAFNOSUPPORT;
  chost_endpoint_from(endpoint, &address);
  return 0;
}

int chost_set_fragmentation(int fd, int family, int mode) {
  static const int v4[] = {IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT, IP_PMTUDISC_DONT};
  static const int v6[] = {IPV6_PMTUDISC_PROBE, IPV6_PMTUDISC_WANT, IPV6_PMTUDISC_DONT};
  if (mode < 0 || mode > 2) return -EINVAL;
  int failed = family == 4 ? set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, v4[mode])
                           : set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, v6[mode]);
  return failed ? -errno : 0;
}

ssize_t chost_udp_send_batch(int fd, const void *arena, const struct chost_train *trains,
                             unsigned count) {
  struct mmsghdr messages[CHOST_BATCH_MAXIMUM];
  struct iovec vectors[CHOST_BATCH_MAXIMUM];
  union chost_address addresses[CHOST_BATCH_MAXIMUM];
  union chost_control controls[CHOST_BATCH_MAXIMUM];
  if (count > CHOST_BATCH_MAXIMUM) count = CHOST_BATCH_MAXIMUM;
  for (unsigned index = 0; index < count; index++) {
    chost_prepare_send(&messages[index].msg_hdr, &vectors[index], &addresses[index],
                       &controls[index], (const char *)arena + trains[index].offset,
                       trains[index].count, trains[index].segment_size,
                       trains[index].traffic_class, &trains[index].to);
    messages[index].msg_len = 0;
  }
  int sent;
  do {
    sent = sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t chost_udp_receive_batch(int fd, void *buffers, size_t capacity,
                                struct chost_received *received, unsigned count) {
  struct mmsghdr messages[CHOST_BATCH_MAXIMUM];
  struct iovec vectors[CHOST_BATCH_MAXIMUM];
  union chost_address addresses[CHOST_BATCH_MAXIMUM];
  union chost_control controls[CHOST_BATCH_MAXIMUM];
  if (count > CHOST_BATCH_MAXIMUM) count = CHOST_BATCH_MAXIMUM;
  for (unsigned index = 0; index < count; index++) {
    struct msghdr *message = &messages[index].msg_hdr;
    memset(&messages[index], 0, sizeof messages[index]);
    vectors[index].iov_base = (char *)buffers + index * capacity;
    vectors[index].iov_len = capacity;
    message->msg_iov = &vectors[index];
    message->msg_iovlen = 1;
    message->msg_name = &addresses[index];
    message->msg_namelen = sizeof addresses[index];
    message->msg_control = controls[index].bytes;
    message->msg_controllen = sizeof controls[index].bytes;
  }
  int got;
  do {
    got = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  for (int index = 0; index < got; index++) {
    chost_endpoint_from(&received[index].source, &addresses[index]);
    received[index].count = messages[index].msg_len;
    chost_read_control(&messages[index].msg_hdr, &received[index]);
    received[index].truncated = (messages[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
  }
  return got;
}
