/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to the operator: one line each, and not more than a guest's misbehaviour deserves.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "passthrough/internal.h"

enum { BURST = 20 };

const char *pasid_name(uint32_t pasid, char buffer[24])
{
	if (pasid == VIOMMU_NO_PASID)
		snprintf(buffer, 24, "requests without PASID");
	else
		snprintf(buffer, 24, "PASID %u", pasid);
	return buffer;
}

static bool allowed(struct viommu_passthrough *passthrough)
{
	struct timespec now;
	uint64_t second;

	clock_gettime(CLOCK_MONOTONIC, &now);
	second = (uint64_t)now.tv_sec + 1;
	if (!passthrough->log_time) {
		passthrough->log_tokens = BURST;
	} else if (second > passthrough->log_time) {
		passthrough->log_tokens += second - passthrough->log_time;
		if (passthrough->log_tokens > BURST)
			passthrough->log_tokens = BURST;
	}
	passthrough->log_time = second;
	if (!passthrough->log_tokens)
		return false;
	passthrough->log_tokens--;
	return true;
}

void passthrough_log(struct viommu_passthrough *passthrough, const char *format, ...)
{
	va_list arguments;
	char text[256];
	int used;

	if (!passthrough->ops.log || !allowed(passthrough))
		return;
	used = snprintf(text, sizeof(text), "device %02x:%02x.%x: ", passthrough->rid >> 8,
			passthrough->rid >> 3 & 31, passthrough->rid & 7);
	va_start(arguments, format);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
	va_end(arguments);
	passthrough->ops.log(passthrough->opaque, text);
}
