// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot say about Linux's system calls: variadic calls, control-message macros,
// ioctl numbers. Every function returns a count or zero, or the negated `errno`. The headers get by
// without _GNU_SOURCE: Swift's module of the C library is built without it, and types would differ.

#ifndef CHOST_H
#define CHOST_H

#include "CHostDatagrams.h"
#include "CHostFiles.h"
#include "CHostInterfaces.h"
#include "CHostMemory.h"
#include "CHostNetlink.h"
#include "CHostSteering.h"
#include "CHostStreams.h"

#endif
