// SPDX-License-Identifier: Apache-2.0

#include "CMultiBuffer.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[CMB_SYMBOLS] = {
    "imb_get_version", "imb_get_mb_mgr_size", "alloc_mb_mgr", "free_mb_mgr", "init_mb_mgr_avx512",
};

const char *cmb_symbol_name(int index) {
  return index >= 0 && index < CMB_SYMBOLS ? names[index] : NULL;
}

unsigned cmb_version(const struct cmb_library *library) {
  unsigned (*version)(void) = (unsigned (*)(void))library->symbols[0];
  return version();
}

#if defined(__x86_64__)

// What version 1.3.0 lays out; only what is used is named.

enum { TAG = 16, NONCE = 12, KEY = 32, MANAGER_SIZE = 200744 };
enum { CIPHER_CHACHA20_POLY1305 = 19, HASH_CHACHA20_POLY1305 = 29 };
enum { ENCRYPT = 1, DECRYPT = 2, CIPHER_THEN_HASH = 1, HASH_THEN_CIPHER = 2, COMPLETED = 3 };

// AVX512F, DQ, CD, BW, VL; erased secrets; integer multiply-add; self-test there and passed.
static const uint64_t FEATURE_AVX512 = 0x1Full << 7, FEATURE_ERASES = 1ull << 14,
                      FEATURE_IFMA = 1ull << 17, FEATURE_TESTS = 1ull << 20,
                      FEATURE_TESTED = 1ull << 21;

struct job {
  const void *encryption_key;
  const void *decryption_key;
  uint64_t key_length;
  const void *source;
  void *destination;
  uint64_t cipher_offset;
  uint64_t cipher_length;
  uint64_t hash_offset;
  uint64_t hash_length;
  const void *nonce;
  uint64_t nonce_length;
  void *tag;
  uint64_t tag_length;
  const void *associated;
  uint64_t associated_length;
  void *context;
  uint32_t status;
  uint32_t cipher;
  uint32_t direction;
  uint32_t hash;
  uint32_t order;
  uint32_t padding;
  uint8_t unused[48];
};
_Static_assert(sizeof(struct job) == 200, "a job has 200 bytes");
_Static_assert(offsetof(struct job, nonce) == 72, "nonce");
_Static_assert(offsetof(struct job, associated) == 104, "associated data");
_Static_assert(offsetof(struct job, status) == 128, "status");
_Static_assert(offsetof(struct job, order) == 144, "order");

struct manager;
typedef uint32_t (*burst)(struct manager *, uint32_t count, struct job **jobs);

struct manager {
  uint64_t flags;
  uint64_t features;
  uint64_t reserved[5];
  uint32_t architecture;
  int error;
  void *functions[111];
  burst next_burst;
  burst submit_burst;
  burst submit_burst_unchecked;
};
_Static_assert(offsetof(struct manager, architecture) == 56, "architecture");
_Static_assert(offsetof(struct manager, functions) == 64, "functions");
_Static_assert(offsetof(struct manager, next_burst) == 952, "next burst");

struct cmb_engine {
  struct manager *manager;
  void (*free_manager)(struct manager *);
  struct job *jobs[CMB_TRAIN];
  uint8_t nonces[CMB_TRAIN][16];
  uint8_t tags[CMB_TRAIN][TAG];
};

static struct manager *make_manager(const struct cmb_library *library) {
  struct manager *(*allocate)(uint64_t) = (struct manager * (*)(uint64_t)) library->symbols[2];
  void (*set_up)(struct manager *) = (void (*)(struct manager *))library->symbols[4];
  struct manager *manager = allocate(0);
  if (manager) set_up(manager);
  return manager;
}

static void free_manager(const struct cmb_library *library, struct manager *manager) {
  void (*release)(struct manager *) = (void (*)(struct manager *))library->symbols[3];
  if (manager) release(manager);
}

static int processor_fits(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
}

static enum cmb_refusal judge(const struct manager *manager) {
  if (!manager || manager->error != 0 || !manager->next_burst || !manager->submit_burst_unchecked)
    return CMB_SETUP;
  const uint64_t features = manager->features, cpu = FEATURE_AVX512 | FEATURE_IFMA;
  if ((features & cpu) != cpu) return CMB_PROCESSOR;
  if (!(features & FEATURE_ERASES)) return CMB_LEAVES_SECRETS;
  if ((features & FEATURE_TESTS) && !(features & FEATURE_TESTED)) return CMB_SETUP;
  return CMB_USABLE;
}

enum cmb_refusal cmb_judge(const struct cmb_library *library) {
  if (!processor_fits()) return CMB_PROCESSOR;
  if (cmb_version(library) != CMB_VERSION) return CMB_UNKNOWN_VERSION;
  size_t (*size)(void) = (size_t (*)(void))library->symbols[1];
  if (size() != MANAGER_SIZE) return CMB_UNKNOWN_LAYOUT;
  struct manager *manager = make_manager(library);
  enum cmb_refusal refusal = judge(manager);
  free_manager(library, manager);
  return refusal;
}

struct cmb_engine *cmb_engine_new(const struct cmb_library *library) {
  struct cmb_engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  engine->manager = make_manager(library);
  engine->free_manager = (void (*)(struct manager *))library->symbols[3];
  if (judge(engine->manager) == CMB_USABLE) return engine;
  cmb_engine_free(engine);
  return NULL;
}

void cmb_engine_free(struct cmb_engine *engine) {
  if (!engine) return;
  if (engine->manager) engine->free_manager(engine->manager);
  free(engine);
}

static void fill(struct job *job, const struct cmb_packet *packet, const uint8_t *key,
                 uint64_t length, uint8_t *nonce, void *tag, uint32_t direction) {
  memset(nonce, 0, 4);
  // The machine is little-endian, as the nonce is.
  memcpy(nonce + 4, &packet->counter, 8);
  memset(job, 0, sizeof *job);
  job->encryption_key = job->decryption_key = key;
  job->key_length = KEY;
  job->source = job->destination = packet->bytes;
  job->cipher_length = job->hash_length = length;
  job->nonce = nonce;
  job->nonce_length = NONCE;
  job->tag = tag;
  job->tag_length = TAG;
  job->cipher = CIPHER_CHACHA20_POLY1305;
  job->hash = HASH_CHACHA20_POLY1305;
  job->direction = direction;
  job->order = direction == ENCRYPT ? CIPHER_THEN_HASH : HASH_THEN_CIPHER;
}

// Whether two tags are equal, in the same time for any two.
static int same_tag(const void *one, const void *other) {
  uint64_t a[2], b[2];
  memcpy(a, one, TAG);
  memcpy(b, other, TAG);
  volatile uint64_t difference = (a[0] ^ b[0]) | (a[1] ^ b[1]);
  return difference == 0;
}

static void erase(void *bytes, size_t count) {
  memset(bytes, 0, count);
  __asm__ __volatile__("" : : "r"(bytes) : "memory");
}

// Lets the library work on all jobs; 0 when it finished them.
static int submit(struct cmb_engine *engine, int count) {
  struct manager *manager = engine->manager;
  return manager->submit_burst_unchecked(manager, (uint32_t)count, engine->jobs) == (uint32_t)count
             ? 0
             : -1;
}

static int prepare(struct cmb_engine *engine, int count) {
  if (count < 0 || count > CMB_TRAIN) return -1;
  struct manager *manager = engine->manager;
  return manager->next_burst(manager, (uint32_t)count, engine->jobs) == (uint32_t)count ? 0 : -1;
}

int cmb_seal(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count) {
  if (count == 0) return 0;
  int status = prepare(engine, count);
  if (status == 0) {
    for (int i = 0; i < count; i++)
      fill(engine->jobs[i], &packets[i], key, packets[i].count, engine->nonces[i],
           (uint8_t *)packets[i].bytes + packets[i].count, ENCRYPT);
    status = submit(engine, count);
    for (int i = 0; i < count && status == 0; i++)
      if (engine->jobs[i]->status != COMPLETED) status = -1;
  }
  if (status != 0)
    for (int i = 0; i < count; i++) erase(packets[i].bytes, packets[i].count + TAG);
  return status;
}

int cmb_open(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count) {
  if (count == 0) return 0;
  for (int i = 0; i < count; i++) packets[i].authentic = 0;
  int status = prepare(engine, count);
  if (status == 0) {
    for (int i = 0; i < count; i++)
      fill(engine->jobs[i], &packets[i], key, packets[i].count - TAG, engine->nonces[i],
           engine->tags[i], DECRYPT);
    status = submit(engine, count);
    for (int i = 0; i < count && status == 0; i++) {
      if (engine->jobs[i]->status != COMPLETED) status = -1;
      const uint8_t *sent = (const uint8_t *)packets[i].bytes + packets[i].count - TAG;
      packets[i].authentic = (uint64_t)same_tag(engine->tags[i], sent);
    }
    // The right tag of a forged packet is worth as much as the key of that packet.
    erase(engine->tags, (size_t)count * TAG);
  }
  for (int i = 0; i < count; i++) {
    if (status != 0) packets[i].authentic = 0;
    if (!packets[i].authentic) erase(packets[i].bytes, packets[i].count);
  }
  return status;
}

#else

enum cmb_refusal cmb_judge(const struct cmb_library *library) {
  (void)library;
  return CMB_PROCESSOR;
}

struct cmb_engine *cmb_engine_new(const struct cmb_library *library) {
  (void)library;
  return NULL;
}

void cmb_engine_free(struct cmb_engine *engine) { (void)engine; }

int cmb_seal(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count) {
  (void)engine, (void)key, (void)packets, (void)count;
  return -1;
}

int cmb_open(struct cmb_engine *engine, const uint8_t *key, struct cmb_packet *packets, int count) {
  (void)engine, (void)key, (void)packets, (void)count;
  return -1;
}

#endif
