/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PASID test device from the command line: one request, its outcome as KEY=VALUE words.
 *
 * usage: testdev OPERATION IOVA SIZE [pasid=N] [ats] [ask] [operand=N] [compare=N] [device=ADDRESS]
 *
 * OPERATION: read, write (the operand's bytes, repeated), fill, fetch-add, swap, compare-swap. The exit
 * status is the outcome: 0 done, 1 fault, 2 page request refused, 7 not granted ... (docs/testdev.md).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/testdev.h"

static int usage(void)
{
	fprintf(stderr, "usage: testdev read|write|fill|fetch-add|swap|compare-swap IOVA SIZE\n"
			"               [pasid=N] [ats] [ask] [operand=N] [compare=N] [device=ADDRESS]\n");
	return 64;
}

static bool parse_operation(const char *name, struct testdev_request *request)
{
	static const struct {
		const char *name;
		enum testdev_operation operation;
	} operations[] = {
		{ "read", TESTDEV_READ },	    { "write", TESTDEV_WRITE }, { "fill", TESTDEV_FILL },
		{ "fetch-add", TESTDEV_FETCH_ADD }, { "swap", TESTDEV_SWAP },	{ "compare-swap", TESTDEV_COMPARE_SWAP },
	};

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(name, operations[i].name)) {
			request->operation = operations[i].operation;
			return true;
		}
	return false;
}

static bool parse_option(const char *word, struct testdev_request *request, const char **address)
{
	if (!strncmp(word, "pasid=", 6))
		request->pasid = strtol(word + 6, NULL, 0);
	else if (!strcmp(word, "ats"))
		request->ats = true;
	else if (!strcmp(word, "ask"))
		request->page_request = true;
	else if (!strncmp(word, "operand=", 8))
		request->operand = strtoull(word + 8, NULL, 0);
	else if (!strncmp(word, "compare=", 8))
		request->compare = strtoull(word + 8, NULL, 0);
	else if (!strncmp(word, "device=", 7))
		*address = word + 7;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct testdev_request request = { .pasid = -1 };
	const char *address = "0000:00:07.0";
	uint8_t out[TESTDEV_WINDOW], in[TESTDEV_WINDOW];
	struct testdev device;
	int error;

	if (argc < 4 || !parse_operation(argv[1], &request))
		return usage();
	request.iova = strtoull(argv[2], NULL, 0);
	request.size = strtoul(argv[3], NULL, 0);
	for (int i = 4; i < argc; i++)
		if (!parse_option(argv[i], &request, &address))
			return usage();
	error = testdev_open(&device, address);
	if (error) {
		fprintf(stderr, "testdev: %s: %s\n", address, strerror(-error));
		return 65;
	}
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = request.operand >> i % 8 * 8;
	struct testdev_result r = testdev_run(&device, &request, request.operation == TESTDEV_WRITE ? out : NULL, in);

	printf("outcome=%d bytes=%u reason=0x%x fault=0x%llx old=0x%llx page-requests=%u", r.outcome, r.bytes, r.reason,
	       (unsigned long long)r.fault_address, (unsigned long long)r.old, r.page_requests);
	if (request.operation == TESTDEV_READ && r.outcome == TESTDEV_OK) {
		printf(" data=");
		for (uint32_t i = 0; i < request.size && i < 64; i++)
			printf("%02x", in[i]);
	}
	printf(" # %s\n", testdev_outcome_name(r.outcome));
	return r.outcome;
}
