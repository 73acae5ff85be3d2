/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: the first message of a connection, and the only one with JSON in it. We speak 0.0: every
 * client so far proposes that or something above it and takes the lower number back. The reply
 * lists only capabilities the client proposed, as the protocol wants.
 */
#include "internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A non-negative number below `limit`, or `otherwise` when absent. -EINVAL: something else stands
 * there. */
static int number(const json_t *capabilities, const char *name, json_int_t limit,
		  json_int_t otherwise, json_int_t *value)
{
	const json_t *item = json_object_get(capabilities, name);

	*value = otherwise;
	if (!item)
		return 0;
	if (!json_is_integer(item) || json_integer_value(item) < 0)
		return -EINVAL;
	*value = json_integer_value(item) < limit ? json_integer_value(item) : limit;
	return 0;
}

static int put_number(json_t *reply, const json_t *proposed, const char *name, json_int_t value)
{
	if (!json_object_get(proposed, name))
		return 0;
	return json_object_set_new(reply, name, json_integer(value)) ? -ENOMEM : 0;
}

static int put_migration(json_t *reply, const json_t *proposed)
{
	json_t *page = json_object_get(json_object_get(proposed, "migration"), "pgsize");

	if (!page)
		return 0;
	return json_object_set_new(reply, "migration", json_pack("{s:i}", "pgsize", 4096)) ? -ENOMEM
											   : 0;
}

/* Agree on capabilities; *text is the JSON to send back. */
static int negotiate(struct server_endpoint *e, const json_t *proposed, char **text)
{
	json_t *answer = json_object(), *root = json_pack("{s:o}", "capabilities", answer);
	json_int_t transfer, fds, maps;
	int ret = -EINVAL;

	if (!root) {
		json_decref(answer);
		return -ENOMEM;
	}
	if (number(proposed, "max_data_xfer_size", SERVER_MAX_TRANSFER, SERVER_MAX_TRANSFER,
		   &transfer) ||
	    number(proposed, "max_msg_fds", SERVER_MAX_FDS, 1, &fds) ||
	    number(proposed, "max_dma_maps", DMA_MAX_MAPS, DMA_MAX_MAPS, &maps) || transfer < 8)
		goto out;
	e->max_transfer = (uint32_t)transfer;
	ret = put_number(answer, proposed, "max_msg_fds", SERVER_MAX_FDS);
	ret = ret ? ret : put_number(answer, proposed, "max_data_xfer_size", SERVER_MAX_TRANSFER);
	ret = ret ? ret : put_number(answer, proposed, "max_dma_maps", maps);
	ret = ret ? ret : put_number(answer, proposed, "pgsizes", 4096);
	ret = ret ? ret : put_migration(answer, proposed);
	if (!ret && json_is_true(json_object_get(proposed, "write_multiple")))
		ret = json_object_set_new(answer, "write_multiple", json_true()) ? -ENOMEM : 0;
	if (!ret) {
		*text = json_dumps(root, JSON_COMPACT);
		ret = *text ? 0 : -ENOMEM;
	}
out:
	json_decref(root);
	return ret;
}

/* The JSON behind the fixed part; NULL in *root when there is none. */
static int parse(const struct message *m, json_t **root)
{
	const char *text = (const char *)m->payload + sizeof(struct wire_version);
	size_t length = m->length - sizeof(struct wire_version);

	*root = NULL;
	if (!length)
		return 0;
	if (text[length - 1] || memchr(text, 0, length - 1))
		return -EINVAL;
	*root = json_loadb(text, length - 1, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(*root))
		goto bad;
	if (json_object_get(*root, "capabilities") &&
	    !json_is_object(json_object_get(*root, "capabilities")))
		goto bad;
	return 0;
bad:
	json_decref(*root);
	*root = NULL;
	return -EINVAL;
}

int handle_version(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_version version;
	char *text = NULL;
	json_t *root;
	size_t length;
	int ret;

	memcpy(&version, m->payload, sizeof(version));
	if (e->versioned || version.major) {
		server_log(e, "VERSION %u.%u refused: we speak 0.0, once", version.major,
			   version.minor);
		return -EINVAL;
	}
	ret = parse(m, &root);
	if (!ret)
		ret = negotiate(e, json_object_get(root, "capabilities"), &text);
	json_decref(root);
	if (ret) {
		server_log(e, "VERSION with capabilities that make no sense");
		return ret;
	}
	version.minor = 0;
	length = strlen(text) + 1;
	memcpy(reply->data, &version, sizeof(version));
	memcpy(reply->data + sizeof(version), text, length);
	reply->length = sizeof(version) + length;
	free(text);
	e->versioned = true;
	return 0;
}
