// SPDX-License-Identifier: Apache-2.0
//
// Numbers of rtnetlink, and its socket.

#ifndef CHOST_NETLINK_H
#define CHOST_NETLINK_H

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Opens an rtnetlink socket that receives `groups` (bits 1 << (RTNLGRP_X - 1)).
int chost_netlink_open(uint32_t groups);
/// The number by which the kernel knows a socket; its changes are told with it.
int chost_netlink_port(int fd, uint32_t *port);
/// Sends one request to the kernel.
ssize_t chost_netlink_send(int fd, const void *bytes, size_t count);
/// Receives one datagram of messages from the kernel, waiting at most `milliseconds` for it (for
/// ever when negative); others' datagrams are skipped. -EMSGSIZE when the buffer is too small.
ssize_t chost_netlink_receive(int fd, void *buffer, size_t capacity, int milliseconds);
/// The index of an interface, or -ENODEV.
int chost_interface_index(const char *name);

/// Moves the calling thread into a network namespace of its own. For tests.
int chost_unshare_network(void);
/// Moves the calling thread into the network namespace that a descriptor names. For tests.
int chost_enter_network(int fd);
/// Moves the calling thread into a mount namespace of its own, whose mounts stay in it. For tests.
int chost_unshare_mounts(void);

#endif
