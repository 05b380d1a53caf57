// SPDX-License-Identifier: Apache-2.0

// ChaCha20-Poly1305 over trains of packets, with the functions of Intel's Multi-Buffer library for
// IPsec, which is neither linked nor needed to build: whoever uses this looks its symbols up.
// Nothing here does I/O.

#pragma once

#include <stddef.h>
#include <stdint.h>

/// The only version whose structures are described here (1.3.0).
#define CMB_VERSION 0x10300u
/// The most packets that one call takes.
#define CMB_TRAIN 128

/// One packet, sealed or opened where it lies.
struct cmb_packet {
  /// Its first byte.
  void *bytes;
  /// How many bytes it has: without the tag before sealing, with it before opening.
  uint64_t count;
  /// Its number under the key.
  uint64_t counter;
  /// Written by opening: whether it is authentic (1) or was erased (0).
  uint64_t authentic;
};

/// The functions of the library, in the order of `cmb_symbol_name`.
struct cmb_library {
  void *symbols[5];
};

/// How many symbols are needed.
#define CMB_SYMBOLS 5

/// The name of a symbol to look up.
const char *cmb_symbol_name(int index);

/// Why the library cannot be used.
enum cmb_refusal {
  CMB_USABLE = 0,
  /// No AVX-512 with integer multiply-add.
  CMB_PROCESSOR = 1,
  /// Another version than the one described here.
  CMB_UNKNOWN_VERSION = 2,
  /// The version is right, but a structure has another size.
  CMB_UNKNOWN_LAYOUT = 3,
  /// Built without erasing secrets from registers and stack.
  CMB_LEAVES_SECRETS = 4,
  /// It does not set itself up.
  CMB_SETUP = 5,
};

/// What the library says its version is.
unsigned cmb_version(const struct cmb_library *library);

/// Whether the library can be used on this processor.
enum cmb_refusal cmb_judge(const struct cmb_library *library);

/// What one thread seals and opens with; NULL when the library does not set itself up.
struct cmb_engine *cmb_engine_new(const struct cmb_library *library);

void cmb_engine_free(struct cmb_engine *engine);

/// Seals packets in place and writes each one's tag behind it.
///
/// @param key 32 bytes.
/// @param count At most CMB_TRAIN.
/// @return 0, or -1 when the library gave up: packets that it left unsealed are erased then.
int cmb_seal(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count);

/// Opens packets in place, the tag among each one's bytes, and tells which are authentic.
///
/// What is not authentic is erased, so that nobody reads it.
///
/// @return As for `cmb_seal`.
int cmb_open(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count);
