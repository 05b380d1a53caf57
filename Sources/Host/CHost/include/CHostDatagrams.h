// SPDX-License-Identifier: Apache-2.0
//
// UDP with segmentation offload out (UDP_SEGMENT) and coalescing in (UDP_GRO).
// The per-datagram calls are inline: Swift imports and inlines them, so they cost the call to the
// kernel and nothing more.

#ifndef CHOST_DATAGRAMS_H
#define CHOST_DATAGRAMS_H

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/// An address and port as `Addressing.Endpoint` keeps them: halves of the address as integers.
struct chost_endpoint {
  uint64_t high;
  uint64_t low;
  uint16_t port;
  uint8_t family;  // 4 or 6
};

/// What came with a datagram or a train of them.
struct chost_received {
  struct chost_endpoint source;
  uint32_t count;         // bytes received
  uint32_t segment_size;  // bytes of each datagram but the last; 0 when there is one only
  uint8_t truncated;      // the buffer was too small: the rest is lost
  uint8_t traffic_class;  // traffic class or type of service of the outer headers
};

union chost_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static inline socklen_t chost_address_from(union chost_address *address,
                                           const struct chost_endpoint *endpoint) {
  if (endpoint->family == 4) {
    memset(&address->v4, 0, sizeof address->v4);
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htobe16(endpoint->port);
    address->v4.sin_addr.s_addr = htobe32((uint32_t)endpoint->low);
    return sizeof address->v4;
  }
  memset(&address->v6, 0, sizeof address->v6);
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htobe16(endpoint->port);
  const uint64_t halves[2] = {htobe64(endpoint->high), htobe64(endpoint->low)};
  memcpy(&address->v6.sin6_addr, halves, sizeof halves);
  return sizeof address->v6;
}

static inline void chost_endpoint_from(struct chost_endpoint *endpoint,
                                       const union chost_address *address) {
  if (address->any.sa_family == AF_INET) {
    endpoint->family = 4;
    endpoint->high = 0;
    endpoint->low = be32toh(address->v4.sin_addr.s_addr);
    endpoint->port = be16toh(address->v4.sin_port);
    return;
  }
  uint64_t halves[2];
  memcpy(halves, &address->v6.sin6_addr, sizeof halves);
  endpoint->family = 6;
  endpoint->high = be64toh(halves[0]);
  endpoint->low = be64toh(halves[1]);
  endpoint->port = be16toh(address->v6.sin6_port);
}

/// Room for the control messages that come with a datagram: the size of segments, the traffic class.
union chost_control {
  char bytes[2 * CMSG_SPACE(sizeof(int))];
  struct cmsghdr aligned;
};

static inline void chost_prepare_send(struct msghdr *message, struct iovec *vector,
                                      union chost_address *address, union chost_control *control,
                                      const void *bytes, size_t count, uint16_t segment_size,
                                      uint8_t traffic_class, const struct chost_endpoint *to) {
  memset(message, 0, sizeof *message);
  vector->iov_base = (void *)bytes;
  vector->iov_len = count;
  message->msg_iov = vector;
  message->msg_iovlen = 1;
  message->msg_name = address;
  message->msg_namelen = chost_address_from(address, to);
  size_t used = 0;
  if (segment_size != 0 && count > segment_size) {
    struct cmsghdr *header = &control->aligned;
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof segment_size);
    memcpy(CMSG_DATA(header), &segment_size, sizeof segment_size);
    used = CMSG_SPACE(sizeof segment_size);
  }
  if (traffic_class != 0) {
    struct cmsghdr *header = (struct cmsghdr *)(control->bytes + used);
    const int value = traffic_class;
    header->cmsg_level = to->family == 4 ? IPPROTO_IP : IPPROTO_IPV6;
    header->cmsg_type = to->family == 4 ? IP_TOS : IPV6_TCLASS;
    header->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(header), &value, sizeof value);
    used += CMSG_SPACE(sizeof value);
  }
  if (used == 0) return;
  message->msg_control = control->bytes;
  message->msg_controllen = used;
}

/// Sends one datagram, or a train of datagrams of `segment_size` bytes when `count` is larger.
static inline ssize_t chost_udp_send(int fd, const void *bytes, size_t count,
                                     uint16_t segment_size, uint8_t traffic_class,
                                     const struct chost_endpoint *to) {
  struct msghdr message;
  struct iovec vector;
  union chost_address address;
  union chost_control control;
  chost_prepare_send(&message, &vector, &address, &control, bytes, count, segment_size,
                     traffic_class, to);
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

/// One train of a batch: where it lies in the arena, how it is cut and where it goes.
struct chost_train {
  uint32_t offset;
  uint32_t count;
  uint16_t segment_size;
  uint8_t traffic_class;
  struct chost_endpoint to;
};

#define CHOST_BATCH_MAXIMUM 64

/// Sends up to CHOST_BATCH_MAXIMUM trains in one call; returns how many went out.
ssize_t chost_udp_send_batch(int fd, const void *arena, const struct chost_train *trains,
                             unsigned count);

static inline void chost_read_control(struct msghdr *message, struct chost_received *received) {
  received->segment_size = 0;
  received->traffic_class = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
       header = CMSG_NXTHDR(message, header)) {
    int value = 0;
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
      memcpy(&value, CMSG_DATA(header), sizeof value);
      if (value > 0) received->segment_size = (uint32_t)value;
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
      received->traffic_class = *(const uint8_t *)CMSG_DATA(header);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
      memcpy(&value, CMSG_DATA(header), sizeof value);
      received->traffic_class = (uint8_t)value;
    }
  }
}

/// Receives one datagram, or a train of them where UDP_GRO is on.
static inline ssize_t chost_udp_receive(int fd, void *buffer, size_t capacity,
                                        struct chost_received *received) {
  union chost_address address;
  union chost_control control;
  struct iovec vector = {buffer, capacity};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t count;
  do {
    count = recvmsg(fd, &message, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  chost_endpoint_from(&received->source, &address);
  received->count = (uint32_t)count;
  chost_read_control(&message, received);
  received->truncated = (message.msg_flags & MSG_TRUNC) != 0;
  return count;
}

/// Receives up to CHOST_BATCH_MAXIMUM datagrams or trains in one call, each into its own
/// `capacity` bytes of `buffers`; returns how many came.
ssize_t chost_udp_receive_batch(int fd, void *buffers, size_t capacity,
                                struct chost_received *received, unsigned count);

/// Sends an ICMP echo to an IPv4 address and waits for it to come back; how many nanoseconds that took.
///
/// Blocks for `timeout_milliseconds` at most. `mark` is left alone when zero.
int64_t chost_icmp_echo(const struct chost_endpoint *to, uint32_t mark, int timeout_milliseconds);

/// What `chost_udp_open` managed to switch on.
struct chost_udp_features {
  uint8_t segmentation_offload;
  uint8_t receive_offload;
  uint8_t marked;
  uint8_t traffic_class;
  int receive_buffer_size;
  int send_buffer_size;
};

/// Opens and binds a non-blocking UDP socket (IPv6 sockets take IPv6 only).
///
/// `buffer_size` and `mark` are left alone when zero; with `joins` it may share the port of a socket
/// that allows it. Returns the descriptor.
int chost_udp_open(const struct chost_endpoint *local, int buffer_size, uint32_t mark, int joins,
                   struct chost_udp_features *features);

/// The address that a socket is bound to.
int chost_local_endpoint(int fd, struct chost_endpoint *endpoint);

/// Whether datagrams may be fragmented: 0 never (and the path MTU that the kernel believes in is
/// ignored), 1 when they exceed the path MTU, as the kernel does by default, 2 always by routers.
int chost_set_fragmentation(int fd, int family, int mode);

#endif
