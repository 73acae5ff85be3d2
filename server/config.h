/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI config space of one function: built from its description, written by the guest, read back
 * by both.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "endpoint.h"

#define CONFIG_SIZE		 4096
#define CONFIG_SIZE_CONVENTIONAL 256

/* Positions of the capabilities, 0 where the function has none. */
struct config_layout {
	uint16_t power;
	uint16_t msi;
	uint16_t msix;
	uint16_t express;
	uint16_t pasid;
	uint16_t ats;
	uint16_t page_request;
};

struct config_space {
	struct server_function function;
	struct config_layout at;
	uint8_t value[CONFIG_SIZE];
	uint8_t initial[CONFIG_SIZE];
	uint8_t writable[CONFIG_SIZE]; /* bits the guest may set and clear */
	uint8_t clears[CONFIG_SIZE];   /* bits the guest clears by writing one */
};

/* -EINVAL when the description makes no sense. */
int config_init(struct config_space *config, const struct server_function *function);
/* Bytes the client is told: a conventional function has no extended space. */
uint32_t config_length(const struct config_space *config);
/* Back to power-on values. */
void config_reset(struct config_space *config);
/* What a function-level reset clears: everything but the BARs, which clients keep themselves. */
void config_function_reset(struct config_space *config);
void config_read(const struct config_space *config, uint32_t offset, void *data, uint32_t length);
/* True when the write asked for a function-level reset. */
bool config_write(struct config_space *config, uint32_t offset, const void *data, uint32_t length);
/* enum server_feature */
uint32_t config_features(const struct config_space *config);
/* Where a BAR decodes, 0: nowhere. */
uint64_t config_bar_address(const struct config_space *config, unsigned int bar);

#endif
