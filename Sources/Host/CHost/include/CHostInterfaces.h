// SPDX-License-Identifier: Apache-2.0
//
// What interfaces do in place of the processor.

#ifndef CHOST_INTERFACES_H
#define CHOST_INTERFACES_H

#include <stdint.h>

#define CHOST_FEATURE_NAME_SIZE 32

/// One thing that an interface can do, by the name that ethtool has for it.
struct chost_feature {
  char name[CHOST_FEATURE_NAME_SIZE];
  uint8_t is_active;
};

/// Reads what the interface `name` can do and does; returns how many there are, at most `most`.
int chost_interface_features(const char *name, struct chost_feature *features, int most);

#endif
