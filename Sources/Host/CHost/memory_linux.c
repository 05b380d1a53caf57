// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <link.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/// Whether the loader wrote into pages that are read-only afterwards: then they are no file's.
static bool has_text_relocations(const struct dl_phdr_info *object) {
  for (int index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *header = &object->dlpi_phdr[index];
    if (header->p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + header->p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_TEXTREL) return true;
      if (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0) return true;
    }
  }
  return false;
}

static int release_object(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size;
  size_t *released = context;
  // The kernel's own page, which is no file's either.
  if (object->dlpi_addr == getauxval(AT_SYSINFO_EHDR)) return 0;
  if (has_text_relocations(object)) return 0;
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *header = &object->dlpi_phdr[index];
    if (header->p_type != PT_LOAD || (header->p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (object->dlpi_addr + header->p_vaddr) & ~(page - 1);
    const uintptr_t end = (object->dlpi_addr + header->p_vaddr + header->p_memsz + page - 1) & ~(page - 1);
    if (madvise((void *)begin, end - begin, MADV_DONTNEED) == 0) *released += end - begin;
  }
  return 0;
}

size_t chost_release_program_pages(void) {
  size_t released = 0;
  dl_iterate_phdr(release_object, &released);
  return released;
}
