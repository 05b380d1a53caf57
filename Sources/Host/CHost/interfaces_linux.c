// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1

#include "CHost.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(CHOST_FEATURE_NAME_SIZE == ETH_GSTRING_LEN, "names are as long as the kernel's");

static int ask(int fd, const char *name, void *command) {
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  request.ifr_data = command;
  return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/// How many features the kernel knows.
static int count_features(int fd, const char *name) {
  union {
    struct ethtool_sset_info info;
    char room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
  } sets = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
  int result = ask(fd, name, &sets);
  if (result < 0) return result;
  return sets.info.sset_mask == 0 ? 0 : (int)sets.info.data[0];
}

/// Reads all of them, of which the kernel writes the whole set whatever room there is.
static int read_features(int fd, const char *name, struct chost_feature *features, int count,
                         int most) {
  int blocks = (count + 31) / 32;
  struct ethtool_gstrings *names = calloc(1, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
  struct ethtool_gfeatures *states =
      calloc(1, sizeof *states + (size_t)blocks * sizeof(struct ethtool_get_features_block));
  int result = names && states ? 0 : -ENOMEM;
  if (result == 0) {
    names->cmd = ETHTOOL_GSTRINGS;
    names->string_set = ETH_SS_FEATURES;
    names->len = (uint32_t)count;
    result = ask(fd, name, names);
  }
  if (result == 0) {
    states->cmd = ETHTOOL_GFEATURES;
    states->size = (uint32_t)blocks;
    result = ask(fd, name, states);
  }
  int kept = count < most ? count : most;
  for (int index = 0; result == 0 && index < kept; index++) {
    memcpy(features[index].name, names->data + index * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
    features[index].name[ETH_GSTRING_LEN - 1] = 0;
    features[index].is_active = states->features[index / 32].active >> (index % 32) & 1;
  }
  free(names);
  free(states);
  return result < 0 ? result : kept;
}

int chost_interface_features(const char *name, struct chost_feature *features, int most) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int count = count_features(fd, name);
  int result = count > 0 ? read_features(fd, name, features, count, most) : count;
  close(fd);
  return result;
}
