// SPDX-License-Identifier: Apache-2.0

// What a Noise handshake is made of, where the libraries that we have are slow at it: two X25519 at once,
// and BLAKE2s with what is built on it. Nothing here allocates or does I/O, and nothing takes a time or
// reads an address that depends on a secret.

#pragma once

#include <stddef.h>
#include <stdint.h>

/// Whether this processor has what `cn_x25519_pair` is made of: AVX-512 with integer multiply-add.
int cn_has_x25519_pair(void);

/// X25519 twice at once: `out[i]` is what `scalars[i]` makes of `points[i]`, each 32 bytes.
///
/// The first three bits and the last two of a scalar, and the last one of a point, count as RFC 7748
/// says. Only where `cn_has_x25519_pair`.
void cn_x25519_pair(uint8_t out[64], const uint8_t scalars[64], const uint8_t points[64]);

/// BLAKE2s of two parts, one after the other; `count` is from 1 to 32, and so is `key_count` unless
/// there is no key.
void cn_blake2s(uint8_t *out, size_t count, const uint8_t *key, size_t key_count,
                const uint8_t *first, size_t first_count, const uint8_t *second,
                size_t second_count);

/// HMAC with BLAKE2s of two parts, one after the other; the key has at most 64 bytes.
void cn_hmac(uint8_t out[32], const uint8_t *key, size_t key_count, const uint8_t *first,
             size_t first_count, const uint8_t *second, size_t second_count);

/// HKDF with BLAKE2s: `outputs` keys of 32 bytes, 1 to 3 of them, of a key of at most 64 bytes.
void cn_hkdf(uint8_t *out, int outputs, const uint8_t *key, size_t key_count, const uint8_t *input,
             size_t input_count);
