// SPDX-License-Identifier: Apache-2.0

#include "CNoise.h"

#include <string.h>

#if defined(__x86_64__)

#include <immintrin.h>

// Two Montgomery ladders in the eight lanes of AVX-512, four lanes each.
//
// A step of the ladder multiplies three times, and each time four pairs of numbers that do not depend
// on one another: one multiplication of vectors does the four of both ladders. What is there for the
// second ladder costs nothing, and the steps' latency, not the multiplier, is what takes the time.
//
// A number modulo p = 2^255 - 19 is five limbs of 51 bits, one vector a limb. The multiplier takes the
// low 52 bits of its operands, so that every operand must be *tight*: limbs below 2^51 + 2^15. What
// multiplication leaves is tight; sums are carried before they are multiplied. Bounds stand where they
// matter. There is no branch and no address that depends on a secret.
//
// - Source: RFC 7748 §5 for the ladder; Hisil, Egrice, Yassi, "Fast 4 way vectorized ladder for the
//   complete set of Montgomery curves" (2022), for what can be done side by side.

#define VECTOR __attribute__((target("avx512f,avx512ifma"), always_inline)) static inline
#define LIMBS 5
#define BITS 51

typedef struct { __m512i limb[LIMBS]; } numbers;

static const uint64_t low51 = ((uint64_t)1 << BITS) - 1;

// 19 times a column, added to another: 2^255 is 19 modulo p.
VECTOR __m512i folded(__m512i column, __m512i over) {
  const __m512i three = _mm512_add_epi64(over, _mm512_slli_epi64(over, 1));
  return _mm512_add_epi64(_mm512_add_epi64(column, _mm512_slli_epi64(over, 4)), three);
}

// Carries once, each limb into the next. Of limbs below 2^61 it leaves tight ones: a carry has less
// than 10 bits, and 19 of them less than 15. Of limbs below 2^53 it leaves less than 2^51 + 64.
VECTOR numbers carried(numbers a) {
  const __m512i mask = _mm512_set1_epi64((long long)low51);
  __m512i carry[LIMBS];
  for (int i = 0; i < LIMBS; i++) {
    carry[i] = _mm512_srli_epi64(a.limb[i], BITS);
    a.limb[i] = _mm512_and_si512(a.limb[i], mask);
  }
  for (int i = 1; i < LIMBS; i++) a.limb[i] = _mm512_add_epi64(a.limb[i], carry[i - 1]);
  a.limb[0] = folded(a.limb[0], carry[LIMBS - 1]);
  return a;
}

// What the columns of a product make: tight numbers.
//
// A column is at most 5 low halves, twice 5 high ones and a tight limb, less than 16 * 2^52; with 19
// times another one it is less than 2^61.
VECTOR numbers gathered(__m512i low[2 * LIMBS], const __m512i high[2 * LIMBS]) {
  // A high half weighs 2^52, twice as much as the next limb.
  for (int i = 0; i < 2 * LIMBS; i++) low[i] = _mm512_add_epi64(low[i], _mm512_slli_epi64(high[i], 1));
  numbers sum;
  for (int i = 0; i < LIMBS; i++) sum.limb[i] = folded(low[i], low[i + LIMBS]);
  return carried(sum);
}

// c + a * b of tight numbers, tight.
VECTOR numbers product_and(numbers a, numbers b, numbers c) {
  __m512i low[2 * LIMBS], high[2 * LIMBS];
  for (int i = 0; i < 2 * LIMBS; i++) {
    low[i] = i < LIMBS ? c.limb[i] : _mm512_setzero_si512();
    high[i] = _mm512_setzero_si512();
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < LIMBS; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < LIMBS; j++) {
      low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.limb[i], b.limb[j]);
      high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a.limb[i], b.limb[j]);
    }
  }
  return gathered(low, high);
}

VECTOR numbers product(numbers a, numbers b) {
  numbers nothing;
  for (int i = 0; i < LIMBS; i++) nothing.limb[i] = _mm512_setzero_si512();
  return product_and(a, b, nothing);
}

// The squares of tight numbers, tight: what stands on both sides of the diagonal is added twice.
VECTOR numbers square(numbers a) {
  __m512i low[2 * LIMBS], high[2 * LIMBS];
  for (int i = 0; i < 2 * LIMBS; i++) low[i] = high[i] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
  for (int i = 0; i < LIMBS; i++) {
#pragma clang loop unroll(full)
    for (int j = i + 1; j < LIMBS; j++) {
      low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.limb[i], a.limb[j]);
      high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a.limb[i], a.limb[j]);
    }
  }
  for (int i = 0; i < 2 * LIMBS; i++) {
    low[i] = _mm512_slli_epi64(low[i], 1);
    high[i] = _mm512_slli_epi64(high[i], 1);
  }
  for (int i = 0; i < LIMBS; i++) {
    low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a.limb[i], a.limb[i]);
    high[2 * i + 1] = _mm512_madd52hi_epu64(high[2 * i + 1], a.limb[i], a.limb[i]);
  }
  return gathered(low, high);
}

// The numbers in other lanes.
VECTOR numbers permuted(numbers a, __m512i lanes) {
  for (int i = 0; i < LIMBS; i++) a.limb[i] = _mm512_permutexvar_epi64(lanes, a.limb[i]);
  return a;
}

// a + b, or a - b in the lanes of `minus`, of tight numbers: below 2^53, for twice p is added.
VECTOR numbers combined(numbers a, numbers b, __mmask8 minus) {
  for (int i = 0; i < LIMBS; i++) {
    const __m512i twice = _mm512_set1_epi64((long long)(2 * (i == 0 ? low51 - 18 : low51)));
    const __m512i term = _mm512_mask_sub_epi64(b.limb[i], minus, twice, b.limb[i]);
    a.limb[i] = _mm512_add_epi64(a.limb[i], term);
  }
  return a;
}

VECTOR numbers squared(numbers a, int times) {
  for (int i = 0; i < times; i++) a = square(a);
  return a;
}

// The inverses, by Fermat: the power of p - 2.
VECTOR numbers inverse(numbers a) {
  const numbers a2 = squared(a, 1), a9 = product(squared(a2, 2), a), a11 = product(a9, a2);
  const numbers b5 = product(squared(a11, 1), a9), b10 = product(squared(b5, 5), b5);
  const numbers b20 = product(squared(b10, 10), b10), b40 = product(squared(b20, 20), b20);
  const numbers b50 = product(squared(b40, 10), b10), b100 = product(squared(b50, 50), b50);
  const numbers b200 = product(squared(b100, 100), b100), b250 = product(squared(b200, 50), b50);
  return product(squared(b250, 5), a11);
}

static uint64_t word(const uint8_t *bytes) {
  // The machine is little-endian, as the numbers are.
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

// Cuts 255 bits into limbs.
static void read_number(uint64_t limb[LIMBS], const uint8_t bytes[32]) {
  const uint64_t a = word(bytes), b = word(bytes + 8), c = word(bytes + 16), d = word(bytes + 24);
  limb[0] = a & low51;
  limb[1] = (a >> 51 | b << 13) & low51;
  limb[2] = (b >> 38 | c << 26) & low51;
  limb[3] = (c >> 25 | d << 39) & low51;
  limb[4] = (d >> 12) & low51;
}

// Writes the least number that is congruent to a tight one.
static void write_number(uint8_t bytes[32], uint64_t limb[LIMBS]) {
  // Twice, for the first time may carry into a limb that was full; what is left is below 2^255.
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < LIMBS - 1; i++) {
      limb[i + 1] += limb[i] >> BITS;
      limb[i] &= low51;
    }
    limb[0] += 19 * (limb[LIMBS - 1] >> BITS);
    limb[LIMBS - 1] &= low51;
  }
  // Whether it is p or more: then adding 19 carries all the way up.
  uint64_t carry = 19;
  for (int i = 0; i < LIMBS; i++) carry = (limb[i] + carry) >> BITS;
  carry *= 19;
  for (int i = 0; i < LIMBS; i++) {
    limb[i] += carry;
    carry = limb[i] >> BITS;
    limb[i] &= low51;
  }
  const uint64_t words[4] = {limb[0] | limb[1] << 51, limb[1] >> 13 | limb[2] << 38,
                             limb[2] >> 26 | limb[3] << 25, limb[3] >> 39 | limb[4] << 12};
  memcpy(bytes, words, sizeof words);
}

__attribute__((target("avx512f,avx512ifma"))) void
cn_x25519_pair(uint8_t out[64], const uint8_t scalars[64], const uint8_t points[64]) {
  uint64_t scalar[2][4], point[2][LIMBS], lanes[LIMBS][8];
  for (int i = 0; i < 2; i++) {
    memcpy(scalar[i], scalars + 32 * i, 32);
    scalar[i][0] &= ~(uint64_t)7;
    scalar[i][3] = (scalar[i][3] & ~((uint64_t)1 << 63)) | (uint64_t)1 << 62;
    read_number(point[i], points + 32 * i);
  }

  // The lanes of a ladder: x and z of the lower point, x and z of the upper one, which differ by the
  // point itself. At first 0 = (1 : 0) and the point = (x : 1).
  numbers state, factors;
  for (int i = 0; i < LIMBS; i++) {
    const long long one = i == 0, first = (long long)point[0][i], second = (long long)point[1][i];
    state.limb[i] = _mm512_setr_epi64(one, 0, first, one, one, 0, second, one);
    factors.limb[i] =
        _mm512_setr_epi64(0, 121665 * one, one, first, 0, 121665 * one, one, second);
  }

  const __m512i xs = _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6);
  const __m512i zs = _mm512_setr_epi64(1, 1, 3, 3, 5, 5, 7, 7);
  const __m512i sums = _mm512_setr_epi64(0, 1, 0, 1, 4, 5, 4, 5);
  const __m512i crossed = _mm512_setr_epi64(1, 0, 0, 0, 5, 4, 4, 4);
  __m512i held = _mm512_setzero_si512();
  for (int position = 254; position >= 0; position--) {
    const int place = position >> 6, shift = position & 63;
    const long long first = (long long)(scalar[0][place] >> shift & 1) << 1;
    const long long second = (long long)(scalar[1][place] >> shift & 1) << 1;
    const __m512i bit =
        _mm512_setr_epi64(first, first, first, first, second, second, second, second);
    // Where the bit is not the one before, the points change places: lanes 0 and 1 with 2 and 3.
    const __m512i swap = _mm512_xor_si512(bit, held);
    held = bit;
    const numbers x = permuted(state, _mm512_xor_si512(xs, swap));
    const numbers z = permuted(state, _mm512_xor_si512(zs, swap));
    // a = x2 + z2, b = x2 - z2, d = x3 - z3, c = x3 + z3.
    const numbers abdc = carried(combined(x, z, 0x66));
    // aa, bb, da, cb.
    const numbers squares = product(abdc, permuted(abdc, sums));
    // aa, e = aa - bb, da + cb, da - cb.
    numbers terms = permuted(squares, zs), others = permuted(squares, crossed);
    for (int i = 0; i < LIMBS; i++) {
      terms.limb[i] = _mm512_maskz_mov_epi64(0xEE, terms.limb[i]);
      others.limb[i] = _mm512_maskz_mov_epi64(0x33, others.limb[i]);
    }
    const numbers ones = carried(combined(permuted(squares, xs), terms, 0xAA));
    // times bb, aa + 121665 e, da + cb, (da - cb) x: the new x2, z2, x3, z3.
    state = product(ones, product_and(ones, factors, others));
  }
  state = permuted(state, _mm512_xor_si512(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), held));

  const numbers result = product(state, permuted(inverse(state), zs));
  for (int i = 0; i < LIMBS; i++) _mm512_storeu_si512(lanes[i], result.limb[i]);
  for (int i = 0; i < 2; i++) {
    uint64_t limb[LIMBS];
    for (int j = 0; j < LIMBS; j++) limb[j] = lanes[j][4 * i];
    write_number(out + 32 * i, limb);
    memset(limb, 0, sizeof limb);
    __asm__ __volatile__("" : : "r"(limb) : "memory");
  }
  memset(scalar, 0, sizeof scalar);
  memset(lanes, 0, sizeof lanes);
  __asm__ __volatile__("" : : "r"(scalar), "r"(lanes) : "memory");
}

int cn_has_x25519_pair(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}

#else

int cn_has_x25519_pair(void) { return 0; }

void cn_x25519_pair(uint8_t out[64], const uint8_t scalars[64], const uint8_t points[64]) {
  (void)scalars, (void)points;
  memset(out, 0, 64);
}

#endif
