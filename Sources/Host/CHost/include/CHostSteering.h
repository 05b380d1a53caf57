// SPDX-License-Identifier: Apache-2.0
//
// Which of several sockets that share a port, and which of several queues of a TUN interface, gets
// what arrives: small programs that the kernel runs for each packet.

#ifndef CHOST_STEERING_H
#define CHOST_STEERING_H

#include <stdint.h>

/// One instruction of a classic packet filter (struct sock_filter).
struct chost_instruction {
  uint16_t code;
  uint8_t jump_true;
  uint8_t jump_false;
  uint32_t operand;
};

#define CHOST_PROGRAM_MAXIMUM 64

/// Lets sockets that are bound later, and say so, share the port of a bound one.
int chost_udp_share(int fd);

/// Chooses by `program` which of the sockets that share this one's port gets a datagram: what it
/// returns is the place in the order in which they were bound.
int chost_udp_steer(int fd, const struct chost_instruction *program, unsigned count);

/// How many processors this process may run on.
int chost_processors(void);

/// Another descriptor of the same queue.
int chost_duplicate(int fd);

/// Opens a table from destinations to queues of a TUN interface; returns its descriptor.
int chost_tun_steering_open(unsigned capacity);

/// Makes the interface of a queue choose queues by the table; unknown destinations get the first.
int chost_tun_steer(int queue, int table);

/// Sends what goes to a prefix to a queue. `address` holds 16 bytes, IPv4 as mapped.
int chost_tun_steering_set(int table, const uint8_t *address, uint32_t bits, uint32_t queue);

/// Forgets a prefix; one that is not there is no error.
int chost_tun_steering_remove(int table, const uint8_t *address, uint32_t bits);

#endif
