/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every bare-metal test starts from: hart 0 runs main() in M-mode, other harts wait for hart_entry to be set.
 *
 * try(mode, function, a, b) calls function(a, b) in `mode` and comes back when it returns or anything traps: the result is
 * the cause, or -1; trap_value, trap_pc and trap_result hold mtval, mepc and the function's result.
 */
	.option norvc
	.section .text.start, "ax"
	.globl _start
_start:
	la	t0, trap_vector
	csrw	mtvec, t0
	csrr	a0, mhartid
	la	sp, stacks
	addi	t1, a0, 1
	slli	t1, t1, 14
	add	sp, sp, t1
	li	t0, 0x2000		/* FS = initial */
	csrs	mstatus, t0
	li	t0, -1			/* PMP: everything for every mode */
	csrw	pmpaddr15, t0
	li	t0, 0x1f
	slli	t0, t0, 56
	csrw	pmpcfg2, t0
	bnez	a0, secondary
	call	main
	j	finish
secondary:
	la	t0, hart_entry
1:	fence
	ld	t1, 0(t0)
	beqz	t1, 1b
	jalr	t1
2:	wfi
	j	2b

	/* a0: exit status */
	.globl	finish
finish:
	slli	a0, a0, 1
	ori	a0, a0, 1
	la	t0, tohost
	sd	a0, 0(t0)
1:	j	1b

	.text
	.globl	try
try:
	csrr	t0, mhartid
	slli	t0, t0, 8
	la	t1, frames
	add	t0, t0, t1
	sd	ra, 0(t0)
	sd	sp, 8(t0)
	sd	s0, 16(t0)
	sd	s1, 24(t0)
	sd	s2, 32(t0)
	sd	s3, 40(t0)
	sd	s4, 48(t0)
	sd	s5, 56(t0)
	sd	s6, 64(t0)
	sd	s7, 72(t0)
	sd	s8, 80(t0)
	sd	s9, 88(t0)
	sd	s10, 96(t0)
	sd	s11, 104(t0)
	csrr	t1, mstatus
	sd	t1, 112(t0)
	csrw	mscratch, t0
	li	t1, 3
	slli	t1, t1, 11
	csrc	mstatus, t1
	slli	a0, a0, 11
	csrs	mstatus, a0
	csrw	mepc, a1
	mv	a0, a2
	mv	a1, a3
	la	ra, try_return
	mret
	/* back in the lower mode: tell M-mode that the function returned */
	.globl	try_return
try_return:
	li	a7, 0x7272
	ecall
	.globl	try_return_end
try_return_end:

	.align	3
	.globl	trap_vector
trap_vector:
	csrrw	t0, mscratch, t0
	beqz	t0, unexpected
	sd	a0, 120(t0)
	sd	a7, 128(t0)
	ld	ra, 0(t0)
	ld	sp, 8(t0)
	ld	s0, 16(t0)
	ld	s1, 24(t0)
	ld	s2, 32(t0)
	ld	s3, 40(t0)
	ld	s4, 48(t0)
	ld	s5, 56(t0)
	ld	s6, 64(t0)
	ld	s7, 72(t0)
	ld	s8, 80(t0)
	ld	s9, 88(t0)
	ld	s10, 96(t0)
	ld	s11, 104(t0)
	csrr	t1, mstatus
	la	t2, trap_status
	sd	t1, 0(t2)
	ld	t1, 112(t0)
	csrw	mstatus, t1
	csrw	mscratch, zero
	csrr	t1, mtval
	la	t2, trap_value
	sd	t1, 0(t2)
	csrr	t1, mepc
	la	t2, trap_pc
	sd	t1, 0(t2)
	ld	t1, 120(t0)
	la	t2, trap_result
	sd	t1, 0(t2)
	csrr	a0, mcause
	/* an ecall with a7 = 0x7272 is the function's return */
	addi	t1, a0, -8
	li	t2, 4
	bgeu	t1, t2, 1f
	ld	t1, 128(t0)
	li	t2, 0x7272
	bne	t1, t2, 1f
	li	a0, -1
1:	ret
unexpected:
	csrr	a1, mcause
	csrr	a2, mepc
	csrr	a3, mtval
	la	sp, stacks
	li	t1, 0x4000
	add	sp, sp, t1
	li	a0, 99
	j	finish

	.bss
	.align	12
stacks:	.space	8 * 16384
frames:	.space	8 * 256
	.globl	trap_value, trap_pc, trap_result, trap_status, hart_entry
trap_value:	.dword	0
trap_pc:	.dword	0
trap_result:	.dword	0
trap_status:	.dword	0
hart_entry:	.dword	0
	.section .tohost, "aw"
	.align	6
	.globl	tohost, fromhost
tohost:	.dword	0
	.align	6
fromhost:	.dword	0
