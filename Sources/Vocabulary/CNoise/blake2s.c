// SPDX-License-Identifier: Apache-2.0

#include "CNoise.h"

#include <string.h>

// BLAKE2s, and HMAC and HKDF over it without anything that is worked out twice.
//
// A Noise handshake is some eighty blocks, each under a key of its own: half of them are the padded keys
// of HMAC, which HKDF needs once and not once for each output.
//
// - Source: RFC 7693; RFC 2104; RFC 5869.

enum { BLOCK = 64, DIGEST = 32 };

struct state {
  uint32_t hash[8];
  uint64_t count;
  uint8_t block[BLOCK];
  size_t used;
};

static const uint32_t initial[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

static const uint8_t orders[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

__attribute__((always_inline)) static inline uint32_t turned(uint32_t word, int bits) {
  return word >> bits | word << (32 - bits);
}

__attribute__((always_inline)) static inline void mix(uint32_t *a, uint32_t *b, uint32_t *c,
                                                      uint32_t *d, uint32_t x, uint32_t y) {
  *a += *b + x;
  *d = turned(*d ^ *a, 16);
  *c += *d;
  *b = turned(*b ^ *c, 12);
  *a += *b + y;
  *d = turned(*d ^ *a, 8);
  *c += *d;
  *b = turned(*b ^ *c, 7);
}

// Plain words: four columns keep a processor as busy as its vectors would, whose steps take longer.
static void compress(struct state *state, const uint8_t *block, int is_last) {
  uint32_t m[16], v[16];
  // The machine is little-endian, as BLAKE2s is.
  memcpy(m, block, BLOCK);
  memcpy(v, state->hash, sizeof state->hash);
  memcpy(v + 8, initial, sizeof initial);
  v[12] ^= (uint32_t)state->count;
  v[13] ^= (uint32_t)(state->count >> 32);
  v[14] ^= is_last ? ~(uint32_t)0 : 0;
#pragma clang loop unroll(full)
  for (int round = 0; round < 10; round++) {
    const uint8_t *o = orders[round];
    mix(v + 0, v + 4, v + 8, v + 12, m[o[0]], m[o[1]]);
    mix(v + 1, v + 5, v + 9, v + 13, m[o[2]], m[o[3]]);
    mix(v + 2, v + 6, v + 10, v + 14, m[o[4]], m[o[5]]);
    mix(v + 3, v + 7, v + 11, v + 15, m[o[6]], m[o[7]]);
    mix(v + 0, v + 5, v + 10, v + 15, m[o[8]], m[o[9]]);
    mix(v + 1, v + 6, v + 11, v + 12, m[o[10]], m[o[11]]);
    mix(v + 2, v + 7, v + 8, v + 13, m[o[12]], m[o[13]]);
    mix(v + 3, v + 4, v + 9, v + 14, m[o[14]], m[o[15]]);
  }
  for (int i = 0; i < 8; i++) state->hash[i] ^= v[i] ^ v[i + 8];
}

static void begin(struct state *state, size_t count, size_t key_count) {
  memcpy(state->hash, initial, sizeof initial);
  state->hash[0] ^= 0x01010000u ^ (uint32_t)key_count << 8 ^ (uint32_t)count;
  state->count = 0;
  state->used = 0;
}

// The last block is compressed by `end` only, full or not.
static void add(struct state *state, const uint8_t *bytes, size_t count) {
  while (count > 0) {
    if (state->used == BLOCK) {
      state->count += BLOCK;
      compress(state, state->block, 0);
      state->used = 0;
    }
    const size_t room = BLOCK - state->used, part = count < room ? count : room;
    memcpy(state->block + state->used, bytes, part);
    state->used += part;
    bytes += part;
    count -= part;
  }
}

static void end(struct state *state, uint8_t *out, size_t count) {
  state->count += state->used;
  memset(state->block + state->used, 0, BLOCK - state->used);
  compress(state, state->block, 1);
  memcpy(out, state->hash, count);
}

static void erase(void *bytes, size_t count) {
  memset(bytes, 0, count);
  __asm__ __volatile__("" : : "r"(bytes) : "memory");
}

void cn_blake2s(uint8_t *out, size_t count, const uint8_t *key, size_t key_count,
                const uint8_t *first, size_t first_count, const uint8_t *second,
                size_t second_count) {
  struct state state;
  begin(&state, count, key_count);
  if (key_count > 0) {
    memset(state.block, 0, BLOCK);
    memcpy(state.block, key, key_count);
    state.used = BLOCK;
  }
  add(&state, first, first_count);
  add(&state, second, second_count);
  end(&state, out, count);
  erase(&state, sizeof state);
}

// A key of HMAC: what its two padded blocks leave behind.
struct keyed {
  struct state inner, outer;
};

static void begin_padded(struct state *state, const uint8_t *key, size_t key_count, uint8_t pad) {
  uint8_t block[BLOCK] = {0};
  memcpy(block, key, key_count);
  for (int i = 0; i < BLOCK; i++) block[i] ^= pad;
  begin(state, DIGEST, 0);
  state->count = BLOCK;
  // Something always follows the outer block; without a message nothing follows the inner one.
  compress(state, block, 0);
  erase(block, sizeof block);
}

static void begin_keyed(struct keyed *keyed, const uint8_t *key, size_t key_count) {
  begin_padded(&keyed->inner, key, key_count, 0x36);
  begin_padded(&keyed->outer, key, key_count, 0x5C);
}

// The inner block alone is the last one.
static void end_empty(uint8_t inner[DIGEST], const uint8_t *key, size_t key_count) {
  struct state state;
  uint8_t block[BLOCK] = {0};
  memcpy(block, key, key_count);
  for (int i = 0; i < BLOCK; i++) block[i] ^= 0x36;
  begin(&state, DIGEST, 0);
  add(&state, block, BLOCK);
  end(&state, inner, DIGEST);
  erase(block, sizeof block);
  erase(&state, sizeof state);
}

// The code of a message of two parts, at least one of which is not empty.
static void code(uint8_t out[DIGEST], const struct keyed *keyed, const uint8_t *first,
                 size_t first_count, const uint8_t *second, size_t second_count) {
  struct state state = keyed->inner;
  uint8_t inner[DIGEST];
  add(&state, first, first_count);
  add(&state, second, second_count);
  end(&state, inner, DIGEST);
  state = keyed->outer;
  add(&state, inner, DIGEST);
  end(&state, out, DIGEST);
  erase(inner, sizeof inner);
  erase(&state, sizeof state);
}

void cn_hmac(uint8_t out[32], const uint8_t *key, size_t key_count, const uint8_t *first,
             size_t first_count, const uint8_t *second, size_t second_count) {
  struct keyed keyed;
  if (first_count + second_count > 0) {
    begin_keyed(&keyed, key, key_count);
    code(out, &keyed, first, first_count, second, second_count);
  } else {
    uint8_t inner[DIGEST];
    end_empty(inner, key, key_count);
    begin_padded(&keyed.outer, key, key_count, 0x5C);
    add(&keyed.outer, inner, DIGEST);
    end(&keyed.outer, out, DIGEST);
    erase(inner, sizeof inner);
  }
  erase(&keyed, sizeof keyed);
}

void cn_hkdf(uint8_t *out, int outputs, const uint8_t *key, size_t key_count, const uint8_t *input,
             size_t input_count) {
  uint8_t secret[DIGEST];
  cn_hmac(secret, key, key_count, input, input_count, input, 0);
  struct keyed keyed;
  begin_keyed(&keyed, secret, DIGEST);
  for (int i = 0; i < outputs; i++) {
    const uint8_t number = (uint8_t)(i + 1);
    code(out + i * DIGEST, &keyed, i == 0 ? out : out + (i - 1) * DIGEST, i == 0 ? 0 : DIGEST,
         &number, 1);
  }
  erase(&keyed, sizeof keyed);
  erase(secret, sizeof secret);
}
