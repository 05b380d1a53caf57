// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef TUNSETSTEERINGEBPF
#define TUNSETSTEERINGEBPF _IOR('T', 224, int)
#endif

int chost_udp_share(int fd) {
  int one = 1;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 ? -errno : 0;
}

int chost_udp_steer(int fd, const struct chost_instruction *program, unsigned count) {
  struct sock_filter filter[CHOST_PROGRAM_MAXIMUM];
  if (count == 0 || count > CHOST_PROGRAM_MAXIMUM) return -EINVAL;
  for (unsigned index = 0; index < count; index++) {
    filter[index] = (struct sock_filter){program[index].code, program[index].jump_true,
                                         program[index].jump_false, program[index].operand};
  }
  struct sock_fprog whole = {(unsigned short)count, filter};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) < 0 ? -errno
                                                                                       : 0;
}

int chost_processors(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

int chost_duplicate(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

/// The key of the table: how many bits count, then the address.
struct destination {
  uint32_t bits;
  uint8_t address[16];
};

static int bpf(int command, union bpf_attr *attributes) {
  long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
  return result < 0 ? -errno : (int)result;
}

int chost_tun_steering_open(unsigned capacity) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_LPM_TRIE;
  attributes.key_size = sizeof(struct destination);
  attributes.value_size = sizeof(uint32_t);
  attributes.max_entries = capacity;
  attributes.map_flags = BPF_F_NO_PREALLOC;
  return bpf(BPF_MAP_CREATE, &attributes);
}

#define INSTRUCTION(CODE, TO, FROM, OFFSET, VALUE) \
  {.code = (CODE), .dst_reg = (TO), .src_reg = (FROM), .off = (OFFSET), .imm = (VALUE)}
#define SET(REGISTER, VALUE) INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, REGISTER, 0, 0, VALUE)
#define COPY(TO, FROM) INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, TO, FROM, 0, 0)
#define STORE_VALUE(OFFSET, VALUE) INSTRUCTION(BPF_ST | BPF_MEM | BPF_W, 10, 0, OFFSET, VALUE)
#define STORE(OFFSET) INSTRUCTION(BPF_STX | BPF_MEM | BPF_W, 10, 0, OFFSET, 0)
#define PACKET_BYTE(OFFSET) INSTRUCTION(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, OFFSET)
#define PACKET_WORD(OFFSET) INSTRUCTION(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, OFFSET)
#define TO_NETWORK_ORDER INSTRUCTION(BPF_ALU | BPF_END | BPF_TO_BE, 0, 0, 0, 32)
#define EXIT INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/// Looks up the destination of an IP packet; the stack holds the key from -20.
static int load_program(int table) {
  struct bpf_insn program[] = {
      COPY(6, 1),
      STORE_VALUE(-20, 128),
      PACKET_BYTE(0),
      INSTRUCTION(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 4),
      INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 9, 6),   // 4: to 14
      INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 28, 4),  // 5: to 34
      STORE_VALUE(-16, 0),
      STORE_VALUE(-12, 0),
      SET(0, 0xFFFF),
      TO_NETWORK_ORDER,
      STORE(-8),
      PACKET_WORD(16),
      TO_NETWORK_ORDER,
      INSTRUCTION(BPF_JMP | BPF_JA, 0, 0, 11, 0),  // 13: to 25
      PACKET_WORD(24),                             // 14
      TO_NETWORK_ORDER,
      STORE(-16),
      PACKET_WORD(28),
      TO_NETWORK_ORDER,
      STORE(-12),
      PACKET_WORD(32),
      TO_NETWORK_ORDER,
      STORE(-8),
      PACKET_WORD(36),
      TO_NETWORK_ORDER,
      STORE(-4),  // 25
      COPY(2, 10),
      INSTRUCTION(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -20),
      INSTRUCTION(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, table),
      INSTRUCTION(0, 0, 0, 0, 0),
      INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),  // 31: to 34
      INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 0, 0, 0, 0),
      EXIT,
      SET(0, 0),  // 34
      EXIT,
  };
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = (uint64_t)(uintptr_t)program;
  attributes.insn_cnt = sizeof program / sizeof program[0];
  attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
  return bpf(BPF_PROG_LOAD, &attributes);
}

int chost_tun_steer(int queue, int table) {
  int program = load_program(table);
  if (program < 0) return program;
  // The interface keeps the program; our descriptor of it is not needed any more.
  int result = ioctl(queue, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
  close(program);
  return result;
}

static struct destination destination(const uint8_t *address, uint32_t bits) {
  struct destination key = {.bits = bits};
  memcpy(key.address, address, sizeof key.address);
  return key;
}

int chost_tun_steering_set(int table, const uint8_t *address, uint32_t bits, uint32_t queue) {
  struct destination key = destination(address, bits);
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = (uint32_t)table;
  attributes.key = (uint64_t)(uintptr_t)&key;
  attributes.value = (uint64_t)(uintptr_t)&queue;
  return bpf(BPF_MAP_UPDATE_ELEM, &attributes);
}

int chost_tun_steering_remove(int table, const uint8_t *address, uint32_t bits) {
  struct destination key = destination(address, bits);
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = (uint32_t)table;
  attributes.key = (uint64_t)(uintptr_t)&key;
  int result = bpf(BPF_MAP_DELETE_ELEM, &attributes);
  return result == -ENOENT ? 0 : result;
}
