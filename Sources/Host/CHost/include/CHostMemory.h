// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <malloc.h>
#include <stddef.h>

/// How many bytes `malloc` has given out and not taken back.
static inline size_t chost_allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/// Unmaps the pages of the program and its libraries that are read from their files and never
/// written; each comes back from the page cache when it is touched. Returns the number of bytes
/// whose pages were let go of, touched or not.
size_t chost_release_program_pages(void);
/// Gives memory back to the system that was freed and lies in whole pages.
static inline void chost_release_memory(void) { malloc_trim(0); }
