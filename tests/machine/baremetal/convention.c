/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conventions of test programs: text, a signature, and an exit status that says who ran.
 */
#include "rt.h"

/* one section, so that the end follows the beginning */
asm(".section .data.signature, \"aw\"\n\t.balign 16\n\t.globl begin_signature, end_signature\n"
    "begin_signature: .space 16\nend_signature: .word 0\n\t.text");
extern volatile uint32_t begin_signature[4];

int main(void)
{
	print("hello from the guest\n");
	begin_signature[0] = 0x00112233;
	begin_signature[1] = 0xffffffff;
	begin_signature[2] = 42;
	begin_signature[3] = 0x12345678;
	return 42;
}
