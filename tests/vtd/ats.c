/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ATS: translation requests, requests already translated, page requests and their answers.
 */
#include <errno.h>

#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define P1   3
#define URW  (FS_P | FS_RW | FS_US)

enum { PRQ_SIZE = 4096 };

static int setup(void **state)
{
	kit_setup(state);
	kit_start(*state, TTM_SCALABLE);
	return 0;
}

static uint64_t start_prq(struct kit *kit)
{
	uint64_t queue = kit_page(kit);

	kit_write(kit, REG_PQH, 8, 0);
	kit_write(kit, REG_PQT, 8, 0);
	kit_write(kit, REG_PQA, 8, queue);
	return queue;
}

static int ask(struct kit *kit, uint32_t pasid, uint64_t iova, uint32_t access,
	       struct viommu_translation *t)
{
	memset(t, 0xcc, sizeof(*t));
	return viommu_ats_translate(kit->endpoint, pasid, iova, access, t);
}

/* VT-d 4.1, 4.1.2, 4.1.3: permissions are an answer; their absence is one too. */
static void translation_requests(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	struct viommu_translation t;

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_US);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | URW);
	kit_map_first(kit, root, 4, 0x3000, 1, 0x7000 | FS_P | FS_RW);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ);
	assert_int_equal(t.gpa, 0x5000);
	assert_int_equal(t.length, 0x1000);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ);
	assert_int_equal(ask(kit, P1, 0x2000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(ask(kit, P1, 0x3000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, 0);
	assert_int_equal(ask(kit, P1, 0x9000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, 0);
	assert_int_equal(ask(kit, P1, BIT(48), VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, 0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	assert_true(ask(kit, P1, 0, 0, &t) < 0);
}

/* VT-d 3.6.2: a granted W means D is set now: the device will write without asking again. */
static void grants_mark_pages(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	struct viommu_translation t;

	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ);
	assert_false(kit_get(kit, leaf) & FS_D);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_true(t.granted & VIOMMU_WRITE);
	assert_true(kit_get(kit, leaf) & FS_D);
}

static void execute_and_privilege(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	struct viommu_translation t;

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | URW);
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16, root | PE2_SRE | PE2_ERE | PE2_WPE);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ | VIOMMU_PRIVILEGED, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_PRIVILEGED);
	assert_int_equal(ask(kit, P1, 0x2000, VIOMMU_EXECUTE, &t), 0);
	assert_int_equal(t.granted & VIOMMU_EXECUTE, VIOMMU_EXECUTE);
	assert_int_equal(ask(kit, P1, 0x2000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted & VIOMMU_EXECUTE, 0);
}

/* VT-d 4.2, 4.2.3: what blocks the request itself is a fault, with address type 1. */
static void blocked_translation_requests(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	struct kit_record record;
	uint64_t context, good;

	kit_setup_first(kit, P1, 4);
	context = kit_context_scalable(kit, KIT_RID);
	good = kit_get(kit, context);
	kit_set_pasid_entry(kit, KIT_RID, P1 + 1, PE_P | PE_FIRST | BIT(5), KIT_DID, 0);
	assert_int_equal(ask(kit, P1 + 1, 0x1000, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x5a);
	assert_int_equal(t.completion, VIOMMU_COMPLETION_ABORT);
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.at, 1);
	kit_put(kit, context, good & ~(uint64_t)(CE_DTE | CE_PRE));
	assert_true(kit_flush_all(kit));
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x44);
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.reason, 0x44);
	assert_int_equal(record.at, 1);
	/* The endpoint has ATS off. */
	kit_put(kit, context, good);
	assert_true(kit_flush_all(kit));
	viommu_endpoint_set_features(kit->endpoint, VIOMMU_ENDPOINT_PASID);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), VIOMMU_FAULT);
}

/* VT-d 4.2.4 */
static void translated_requests(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	struct kit_record record;
	uint64_t context;

	kit_setup_first(kit, 0, 4);
	memset(&t, 0xcc, sizeof(t));
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x5123, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.gpa, 0x5123);
	assert_int_equal(t.completion, VIOMMU_COMPLETION_SUCCESS);
	assert_int_equal(t.fault.reason, 0);
	assert_false(t.snoop || t.untranslated_only);
	assert_ptr_equal(t.hva, kit->ram + 0x5123);
	assert_int_equal(viommu_translated_request(kit->endpoint, 0xfee00000, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x87);
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.at, 2);
	assert_int_equal(viommu_translated_request(kit->endpoint, BIT(50), VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_true(kit_take_fault(kit, &record));
	context = kit_context_scalable(kit, KIT_RID);
	kit_put(kit, context, kit_get(kit, context) & ~(uint64_t)(CE_DTE | CE_PRE));
	assert_true(kit_flush_all(kit));
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x5123, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x44);
	assert_true(viommu_translated_request(kit->endpoint, 0x5123, 0, &t) < 0);
}

/* VT-d 4.2.3, legacy: only TT 01b allows either. */
static void legacy_mode(void **state)
{
	struct viommu_unit_options options;
	struct viommu_translation t;
	struct kit_record record;
	struct kit kit;
	uint64_t root, context;

	viommu_unit_options_init(&options);
	kit_create(&kit, &options);
	kit_start(&kit, TTM_LEGACY);
	root = kit_setup_legacy(&kit, KIT_RID, 4);
	kit_map_second(&kit, root, 4, 0x1000, 1, 0x5000 | SS_R | SS_W);
	assert_int_equal(ask(&kit, NONE, 0x1000, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0xd);
	assert_int_equal(viommu_translated_request(kit.endpoint, 0x5000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0xd);
	context = kit_context_legacy(&kit, KIT_RID);
	kit_put(&kit, context, kit_get(&kit, context) | CE_TT_DEVICE_TLB);
	assert_true(kit_flush_all(&kit));
	assert_int_equal(ask(&kit, NONE, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(viommu_translated_request(kit.endpoint, 0x5000, VIOMMU_READ, &t), 0);
	/* VT-d 7.1.3: page requests need scalable mode. */
	while (kit_take_fault(&kit, &record))
		;
	assert_int_equal(viommu_page_request(kit.endpoint, NONE, 0x1000, VIOMMU_READ, 1, true), 0);
	assert_int_equal(kit.responses, 1);
	assert_int_equal(kit.response[0].code, VIOMMU_RESPONSE_INVALID);
	assert_true(kit_take_fault(&kit, &record));
	assert_int_equal(record.reason, 0x32);
	kit_destroy(&kit);
}

/* VT-d 7.4, 7.5.1, 11.4.11: what the guest's handler reads. */
static void page_request_layout(void **state)
{
	struct kit *kit = *state;
	uint64_t queue = start_prq(kit);

	kit_setup_first(kit, P1, 4);
	kit_write(kit, REG_PEDATA, 4, 0x55);
	kit_write(kit, REG_PEADDR, 4, 0xfee03000);
	/* VT-d 11.4.11.8: destinations of 32 bits. */
	kit_write(kit, REG_PEUADDR, 4, 0x45600);
	kit_write(kit, REG_PECTL, 4, 0);
	assert_int_equal(
		viommu_page_request(kit->endpoint, P1, 0x123456789abc, VIOMMU_WRITE, 0x1aa, true),
		0);
	assert_int_equal(kit_get(kit, queue),
			 1 | BIT(8) | (uint64_t)KIT_RID << 16 | (uint64_t)P1 << 32);
	assert_int_equal(kit_get(kit, queue + 8), 0x123456789000 | 0x1aa << 3 | 4 | 2);
	assert_int_equal(kit_read(kit, REG_PQT, 8), 32);
	assert_int_equal(kit_read(kit, REG_PRS, 4), PRS_PPR);
	assert_int_equal(kit->messages, 1);
	assert_int_equal(kit->message[0].address, 0x45600fee03000);
	assert_int_equal(kit->message[0].data, 0x55);
	assert_ptr_equal(kit->message[0].cause, kit->endpoint);
	/* More while PPR is set: no further message. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000,
					     VIOMMU_READ | VIOMMU_EXECUTE | VIOMMU_PRIVILEGED, 1,
					     false),
			 0);
	assert_int_equal(kit_get(kit, queue + 32), 1 | BIT(8) | (uint64_t)KIT_RID << 16 |
							   (uint64_t)P1 << 32 | BIT(52) | BIT(53));
	assert_int_equal(kit_get(kit, queue + 40), 0x5000 | 1 << 3 | 1);
	assert_int_equal(kit->messages, 1);
	kit_write(kit, REG_PRS, 4, PRS_PPR);
	assert_int_equal(kit_read(kit, REG_PRS, 4), 0);
	/* Stop marker: last, with neither read nor write. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, 0, 0, true), 0);
	assert_int_equal(kit_get(kit, queue + 72), 4);
	assert_int_equal(kit->messages, 2);
	/* Without a PASID: it has that of the CE. */
	kit_setup_first(kit, 0, 4);
	assert_int_equal(viommu_page_request(kit->endpoint, NONE, 0x6000, VIOMMU_READ, 2, true), 0);
	assert_int_equal(kit_get(kit, queue + 96), 1 | (uint64_t)KIT_RID << 16);
	/* VT-d 7.4.1.1: to execute is to read; with neither R nor W it would be a stop marker. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x7000, VIOMMU_EXECUTE, 2, true), 0);
	assert_int_equal(kit_get(kit, queue + 128), 1 | BIT(8) | (uint64_t)KIT_RID << 16 |
							    (uint64_t)P1 << 32 | BIT(52));
	assert_int_equal(kit_get(kit, queue + 136), 0x7000 | 2 << 3 | 4 | 1);
	assert_int_equal(kit->responses, 0);
}

/* VT-d 11.4.3 SMS: a stop marker that cannot be queued is dropped, without an answer. */
static void stop_markers(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;
	uint64_t tail;

	start_prq(kit);
	kit_setup_first(kit, P1, 4);
	for (unsigned int i = 0; i < PRQ_SIZE / 32 - 1; i++)
		assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, VIOMMU_READ, 0, false), 0);
	tail = kit_read(kit, REG_PQT, 8);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, 0, 0, true), 0);
	assert_int_equal(kit_read(kit, REG_PQT, 8), tail);
	assert_int_equal(kit->responses, 0);
	kit_write(kit, REG_PQH, 8, tail);
	kit_write(kit, REG_PRS, 4, PRS_PRO);
	/* Nor when the tables keep it out; that is reported. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1 + 1, 0, 0, 0, true), 0);
	assert_int_equal(kit->responses, 0);
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.reason, 0x59);
	assert_int_equal(kit_read(kit, REG_PQT, 8), tail);
}

/* VT-d 7.7: the response finds the endpoint; also for a PASID that is gone by then. */
static void responses(void **state)
{
	struct kit *kit = *state;

	start_prq(kit);
	kit_setup_first(kit, P1, 4);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 7, true), 0);
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1), 0);
	assert_true(kit_command(kit, qi_page_response(true, P1, KIT_RID, 0), 7 << 3));
	assert_int_equal(kit->responses, 1);
	assert_int_equal(kit->response[0].pasid, P1);
	assert_int_equal(kit->response[0].group, 7);
	assert_int_equal(kit->response[0].code, VIOMMU_RESPONSE_SUCCESS);
	assert_true(kit_command(kit, qi_page_response(true, P1, KIT_RID, 1), 8 << 3));
	assert_int_equal(kit->response[1].code, VIOMMU_RESPONSE_INVALID);
	assert_true(kit_command(kit, qi_page_response(true, P1, KIT_RID, 0xf), 511 << 3));
	assert_int_equal(kit->response[2].code, VIOMMU_RESPONSE_FAILURE);
	assert_int_equal(kit->response[2].group, 511);
	/* Without a PASID: the field is not looked at. */
	assert_true(kit_command(kit, qi_page_response(false, P1, KIT_RID, 0), 9 << 3));
	assert_int_equal(kit->response[3].pasid, NONE);
	/* For an endpoint nobody has. */
	assert_true(kit_command(kit, qi_page_response(true, P1, 0x4242, 0), 9 << 3));
	assert_int_equal(kit->responses, 4);
	/* VT-d 7.6.1, Table 32: the codes between are failures. Bit 66 is ignored. */
	for (unsigned int code = 2; code < 15; code++) {
		assert_true(kit_command(kit, qi_page_response(true, P1, KIT_RID, code), 7 << 3 | 4));
		assert_int_equal(kit->responses, 3 + code);
		assert_int_equal(kit->response[2 + code].code, VIOMMU_RESPONSE_FAILURE);
	}
}

/* VT-d 7.6: a full queue sets PRO; what wants an answer gets one at once, until PRO is cleared. */
static void overflow(void **state)
{
	struct kit *kit = *state;
	uint64_t queue = start_prq(kit), tail;
	unsigned int n = PRQ_SIZE / 32 - 1;

	kit_setup_first(kit, P1, 4);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x1000 * i, VIOMMU_READ,
						     (uint16_t)i, true),
				 0);
	assert_int_equal(kit->responses, 0);
	assert_int_equal(kit_read(kit, REG_PRS, 4), PRS_PPR);
	tail = kit_read(kit, REG_PQT, 8);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x77000, VIOMMU_READ, 400, false),
			 0);
	assert_int_equal(kit->responses, 0);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x78000, VIOMMU_READ, 400, true),
			 0);
	assert_int_equal(kit_read(kit, REG_PRS, 4), PRS_PPR | PRS_PRO);
	assert_int_equal(kit->responses, 1);
	assert_int_equal(kit->response[0].group, 400);
	assert_int_equal(kit->response[0].code, VIOMMU_RESPONSE_SUCCESS);
	assert_int_equal(kit_read(kit, REG_PQT, 8), tail);
	/* Room alone does not help while PRO is set. */
	kit_write(kit, REG_PQH, 8, tail);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x79000, VIOMMU_READ, 401, true),
			 0);
	assert_int_equal(kit->responses, 2);
	kit_write(kit, REG_PRS, 4, PRS_PRO);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x7a000, VIOMMU_READ, 402, true),
			 0);
	assert_int_equal(kit->responses, 2);
	assert_int_equal(kit_get(kit, queue + tail + 8), 0x7a000 | 402 << 3 | 4 | 1);
	assert_int_equal(kit_read(kit, REG_PQT, 8), 0);
}

/*
 * VT-d 6.5.3.1: a permission raised without an invalidation is seen after the page request at the
 * latest.
 */
static void upgraded_permissions(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_US);
	struct viommu_translation t;

	start_prq(kit);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ);
	kit_put(kit, leaf, kit_get(kit, leaf) | FS_RW);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x1000, VIOMMU_WRITE, 1, true), 0);
	assert_true(kit_command(kit, qi_page_response(true, P1, KIT_RID, 0), 1 << 3));
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_WRITE);
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
}

/* VT-d 7.1.3 S.1, S.2: a device may ask for the addresses of its own messages. */
static void message_addresses(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, 0, 4);
	struct viommu_translation t;

	kit_map_first(kit, root, 4, 0xfee01000, 1, 0x5000 | URW);
	kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_FIRST, KIT_DID | PE1_PWSNP, root);
	assert_int_equal(ask(kit, NONE, 0xfee01004, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_WRITE);
	assert_true(t.untranslated_only);
	assert_null(t.hva);
	assert_int_equal(t.length, 0xffc);
	assert_int_equal(ask(kit, NONE, 0xfee01004, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, 0);
	assert_false(t.untranslated_only);
	/* With a PASID it is an address like any other. */
	assert_int_equal(ask(kit, P1, 0xfee01004, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_WRITE);
	assert_false(t.untranslated_only);
	assert_int_equal(t.gpa, 0x5004);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* VT-d 4.2.3: W only for who may write (NW clear), N by PGSNP or SNP. */
static void completion_fields(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4), pe = kit_pasid_entry(kit, KIT_RID, P1);
	struct viommu_translation t;

	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | SS_R | SS_W);
	kit_map_second(kit, root, 4, 0x2000, 1, 0x6000 | SS_R | SS_W | SS_SNP);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ);
	assert_false(t.snoop);
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_ATOMIC, &t), 0);
	assert_int_equal(t.granted, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(ask(kit, P1, 0x2000, VIOMMU_READ, &t), 0);
	assert_true(t.snoop);
	kit_put(kit, pe + 8, kit_get(kit, pe + 8) | PE1_PGSNP);
	assert_true(kit_flush_all(kit));
	assert_int_equal(ask(kit, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_true(t.snoop);
}

/* VT-d 7.6, 7.1.3: requests that may not be made. */
static void page_requests_refused(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;
	uint64_t context, good;

	start_prq(kit);
	kit_setup_first(kit, P1, 4);
	context = kit_context_scalable(kit, KIT_RID);
	good = kit_get(kit, context);
	kit_put(kit, context, good & ~(uint64_t)CE_PRE);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 5, true), 0);
	assert_int_equal(kit->responses, 1);
	assert_int_equal(kit->response[0].code, VIOMMU_RESPONSE_INVALID);
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.reason, 0x47);
	assert_int_equal(record.t1, 0);
	assert_int_equal(record.t2, 1);
	/* Not the last of its group: no answer. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 5, false), 0);
	assert_int_equal(kit->responses, 1);
	kit_put(kit, context, 0);
	assert_true(kit_flush_all(kit));
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 6, true), 0);
	assert_int_equal(kit->response[1].code, VIOMMU_RESPONSE_INVALID);
	kit_put(kit, context, good);
	assert_true(kit_flush_all(kit));
	/* No memory for the queue. */
	kit_write(kit, REG_PQA, 8, kit->ram_size + 0x10000);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 7, true), 0);
	assert_int_equal(kit->response[2].code, VIOMMU_RESPONSE_INVALID);

	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, VIOMMU_READ, 512, true),
			 -EINVAL);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, 0, 1, false), -EINVAL);
	assert_int_equal(viommu_page_request(kit->endpoint, 1 << 20, 0, VIOMMU_READ, 1, true),
			 -EINVAL);
	viommu_endpoint_set_features(kit->endpoint, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0, VIOMMU_READ, 1, true),
			 -EOPNOTSUPP);
}

static void units_without_page_requests(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.page_request = false;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	assert_int_equal(viommu_page_request(kit.endpoint, P1, 0, VIOMMU_READ, 1, true),
			 -EOPNOTSUPP);
	kit_destroy(&kit);
}

/*
 * VT-d 7.10: Linux's drain on unbind: fence, PIOTLB, device TLB, a wait with PD. After it no
 * request of the PASID comes any more and none is missing from the queue.
 */
static void drain(void **state)
{
	struct kit *kit = *state;
	uint64_t queue = start_prq(kit);

	kit_setup_first(kit, P1, 4);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x5000, VIOMMU_READ, 1, true), 0);
	kit_submit(kit, QI_WAIT | QI_WAIT_FN, 0);
	kit_submit(kit, qi_piotlb(2, KIT_DID, P1), 0);
	kit_submit(kit, QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 | (uint64_t)P1 << 32,
		   0x7ffffffffffff800);
	kit_submit(kit, QI_WAIT | QI_WAIT_SW | QI_WAIT_PD | 99ull << 32, kit->status);
	kit_ring(kit);
	assert_int_equal((uint32_t)kit_get(kit, kit->status), 99);
	assert_int_equal(kit->invalidates, 1);
	assert_int_equal(kit->invalidate[0].iova, 0);
	assert_int_equal(kit->invalidate[0].last, ~0ull);
	assert_true(kit_get(kit, queue) & 1);
	assert_false(kit_read(kit, REG_PRS, 4) & PRS_PRO);
}

#define ats_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ats_test(translation_requests),
		ats_test(grants_mark_pages),
		ats_test(execute_and_privilege),
		ats_test(blocked_translation_requests),
		ats_test(translated_requests),
		cmocka_unit_test(legacy_mode),
		ats_test(page_request_layout),
		ats_test(stop_markers),
		ats_test(responses),
		ats_test(overflow),
		ats_test(upgraded_permissions),
		ats_test(message_addresses),
		ats_test(completion_fields),
		ats_test(page_requests_refused),
		cmocka_unit_test(units_without_page_requests),
		ats_test(drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
