// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <malloc.h>
#include <stddef.h>

/// How many bytes `malloc` has given out and not taken back.
static inline size_t chost_allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
