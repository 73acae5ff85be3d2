// SPDX-License-Identifier: GPL-2.0
/*
 * MOVDIR64B, ENQCMD and ENQCMDS for a processor that lacks them.
 *
 * A DSA takes its work as one 64-byte store to a portal page. The emulated processor of the demo has
 * no such instruction and raises #UD; this module, a die notifier, carries the instruction out as
 * eight ordered 8-byte stores, in kernel and in user mode. The device assembles them again.
 *
 * What the real instructions guarantee and how it is kept:
 * - The 64 bytes arrive as a whole: one lock covers the eight stores, so two processors that submit to
 *   the same address cannot mix their halves.
 * - ENQCMD in user mode puts the PASID of the caller's address space in place of the descriptor's
 *   first 32 bits; without one it is a general-protection fault, which Linux turns into SIGSEGV.
 * - ENQCMD and ENQCMDS report in ZF whether the queue took the command: the module reads the portal
 *   back, and the device answers with bit 0 set when the command is to be tried again.
 * - A page of the source or the portal that is not present is faulted in and the instruction starts
 *   over. That may sleep, so it is done on the way back to user mode.
 */
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/kdebug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>
#include <asm/trapnr.h>

#define MAX_INSN	15
#define COMMAND_SIZE	64
#define COMMAND_WORDS	(COMMAND_SIZE / sizeof(u64))
#define PORTAL_RETRY	BIT_ULL(0)

enum command { MOVDIR64B, ENQCMD, ENQCMDS };

/* One decoded instruction: to and from are linear addresses. */
struct store {
	enum command command;
	unsigned int length;
	unsigned long to;
	unsigned long from;
};

struct fault_in {
	struct callback_head work;
	unsigned long from;
	unsigned long to;
};

static DEFINE_RAW_SPINLOCK(store_lock);

static unsigned long counts[3];
module_param_array_named(counts, counts, ulong, NULL, 0444);
MODULE_PARM_DESC(counts, "instructions carried out: MOVDIR64B, ENQCMD, ENQCMDS");

/* What ENQCMD would put into a descriptor for the process that reads this, or -1. */
static int show_pasid(char *buffer, const struct kernel_param *parameter)
{
	u32 pasid = current->mm ? mm_get_enqcmd_pasid(current->mm) : IOMMU_PASID_INVALID;

	return sysfs_emit(buffer, "%d\n", pasid == IOMMU_PASID_INVALID ? -1 : (int)pasid);
}

static const struct kernel_param_ops pasid_ops = { .get = show_pasid };
module_param_cb(pasid, &pasid_ops, NULL, 0444);
MODULE_PARM_DESC(pasid, "the PASID of the process that reads this, -1 without one");

static unsigned long gpr(struct pt_regs *regs, unsigned int index)
{
	const unsigned long *at[16] = {
		&regs->ax, &regs->cx, &regs->dx, &regs->bx, &regs->sp, &regs->bp, &regs->si, &regs->di,
		&regs->r8, &regs->r9, &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14, &regs->r15,
	};

	return *at[index & 15];
}

static s32 displacement(const u8 *p, unsigned int size)
{
	if (size == 1)
		return (s8)p[0];
	if (size == 4)
		return (s32)(p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24);
	return 0;
}

/*
 * SDM volume 2, 2.1.5 and 2.2.1: the memory operand of ModRM, SIB and displacement. Returns the bytes
 * they take, or 0 for a register operand.
 */
static unsigned int memory_operand(struct pt_regs *regs, const u8 *modrm, u8 rex, unsigned long next,
				   unsigned long *address)
{
	unsigned int mod = modrm[0] >> 6, rm = modrm[0] & 7, used = 1, size;
	unsigned long base = 0;

	if (mod == 3)
		return 0;
	size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	if (rm == 4) {
		unsigned int index = (modrm[1] >> 3 & 7) | (rex & 2) << 2;

		used++;
		if ((modrm[1] & 7) == 5 && mod == 0)
			size = 4;
		else
			base = gpr(regs, (modrm[1] & 7) | (rex & 1) << 3);
		if (index != 4)
			base += gpr(regs, index) << (modrm[1] >> 6);
	} else if (rm == 5 && mod == 0) {
		size = 4;
		base = next + used + size;
	} else {
		base = gpr(regs, rm | (rex & 1) << 3);
	}
	*address = base + displacement(modrm + used, size);
	return used + size;
}

/* {66,F3,F2} [REX] 0F 38 F8 /r; 64-bit addresses only. */
static bool decode(struct pt_regs *regs, const u8 *insn, struct store *store)
{
	unsigned int at = 0, operand;
	u8 rex = 0;

	switch (insn[at++]) {
	case 0x66:
		store->command = MOVDIR64B;
		break;
	case 0xf2:
		store->command = ENQCMD;
		break;
	case 0xf3:
		store->command = ENQCMDS;
		break;
	default:
		return false;
	}
	if ((insn[at] & 0xf0) == 0x40)
		rex = insn[at++];
	if (insn[at] != 0x0f || insn[at + 1] != 0x38 || insn[at + 2] != 0xf8)
		return false;
	at += 3;
	store->to = gpr(regs, (insn[at] >> 3 & 7) | (rex & 4) << 1);
	operand = memory_operand(regs, insn + at, rex, regs->ip + at, &store->from);
	store->length = at + operand;
	return operand != 0;
}

static bool fetch(struct pt_regs *regs, u8 *insn)
{
	unsigned long ip = regs->ip;
	unsigned int here = min_t(unsigned long, MAX_INSN, PAGE_SIZE - (ip & ~PAGE_MASK));

	memset(insn, 0, MAX_INSN + 1);
	if (!user_mode(regs))
		return !copy_from_kernel_nofault(insn, (void *)ip, MAX_INSN);
	/* The instruction itself is present, what follows it on the next page need not be. */
	if (copy_from_user_nofault(insn, (void __user *)ip, here))
		return false;
	if (here < MAX_INSN)
		(void)!copy_from_user_nofault(insn + here, (void __user *)(ip + here), MAX_INSN - here);
	return true;
}

static int store_kernel(const struct store *store, const u64 *words, u64 *status)
{
	volatile u64 *to = (volatile u64 *)store->to;
	unsigned int i;

	for (i = 0; i < COMMAND_WORDS; i++)
		to[i] = words[i];
	if (store->command != MOVDIR64B)
		*status = to[0];
	return 0;
}

static int store_user(const struct store *store, const u64 *words, u64 *status)
{
	u64 __user *to = (u64 __user *)store->to;
	unsigned int i;
	int error = 0;

	if (!access_ok(to, COMMAND_SIZE))
		return -EFAULT;
	pagefault_disable();
	for (i = 0; i < COMMAND_WORDS && !error; i++)
		error = __put_user(words[i], to + i);
	if (!error && store->command != MOVDIR64B)
		error = __get_user(*status, to);
	pagefault_enable();
	return error;
}

/* Carries the instruction out: 0, -EFAULT (not present) or -EINVAL (general protection). */
static int carry_out(struct pt_regs *regs, const struct store *store)
{
	u64 words[COMMAND_WORDS], status = 0;
	unsigned long flags;
	int error;

	if (!IS_ALIGNED(store->to, COMMAND_SIZE))
		return -EINVAL;
	if (!user_mode(regs))
		memcpy(words, (void *)store->from, COMMAND_SIZE);
	else if (copy_from_user_nofault(words, (void __user *)store->from, COMMAND_SIZE))
		return -EFAULT;

	if (store->command == ENQCMD) {
		u32 pasid = mm_get_enqcmd_pasid(current->mm);

		if (pasid == IOMMU_PASID_INVALID)
			return -EINVAL;
		words[0] = (words[0] & ~(u64)U32_MAX) | pasid;
	}

	raw_spin_lock_irqsave(&store_lock, flags);
	error = user_mode(regs) ? store_user(store, words, &status) : store_kernel(store, words, &status);
	if (!error)
		counts[store->command]++;
	raw_spin_unlock_irqrestore(&store_lock, flags);
	if (error)
		return error;

	if (store->command != MOVDIR64B) {
		regs->flags &= ~(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |
				 X86_EFLAGS_SF | X86_EFLAGS_OF);
		if (status & PORTAL_RETRY)
			regs->flags |= X86_EFLAGS_ZF;
	}
	regs->ip += store->length;
	return 0;
}

static void fault_in_work(struct callback_head *head)
{
	struct fault_in *fault = container_of(head, struct fault_in, work);
	struct mm_struct *mm = current->mm;
	int error;

	mmap_read_lock(mm);
	error = fixup_user_fault(mm, fault->from, 0, NULL);
	if (!error)
		error = fixup_user_fault(mm, fault->from + COMMAND_SIZE - 1, 0, NULL);
	if (!error)
		error = fixup_user_fault(mm, fault->to, FAULT_FLAG_WRITE, NULL);
	mmap_read_unlock(mm);
	if (error)
		force_sig(SIGSEGV);
	kfree(fault);
	module_put(THIS_MODULE);
}

/* True if the instruction is to be started over once its pages are there. */
static bool fault_in_later(const struct store *store)
{
	struct fault_in *fault = kmalloc(sizeof(*fault), GFP_ATOMIC);

	if (!fault || !try_module_get(THIS_MODULE)) {
		kfree(fault);
		return false;
	}
	init_task_work(&fault->work, fault_in_work);
	fault->from = store->from;
	fault->to = store->to;
	if (task_work_add(current, &fault->work, TWA_RESUME)) {
		kfree(fault);
		module_put(THIS_MODULE);
		return false;
	}
	return true;
}

static int on_die(struct notifier_block *block, unsigned long event, void *data)
{
	struct die_args *args = data;
	u8 insn[MAX_INSN + 1];
	struct store store;

	if (event != DIE_TRAP || args->trapnr != X86_TRAP_UD)
		return NOTIFY_DONE;
	if (!fetch(args->regs, insn) || !decode(args->regs, insn, &store))
		return NOTIFY_DONE;
	/* ENQCMDS is privileged; ENQCMD in the kernel has no user. */
	if (store.command == (user_mode(args->regs) ? ENQCMDS : ENQCMD))
		return NOTIFY_DONE;

	switch (carry_out(args->regs, &store)) {
	case 0:
		return NOTIFY_STOP;
	case -EFAULT:
		return user_mode(args->regs) && fault_in_later(&store) ? NOTIFY_STOP : NOTIFY_DONE;
	default:
		if (!user_mode(args->regs))
			return NOTIFY_DONE;
		force_sig(SIGSEGV);
		return NOTIFY_STOP;
	}
}

static struct notifier_block die_notifier = {
	.notifier_call = on_die,
	.priority = INT_MAX,
};

static int __init m64emu_init(void)
{
	return register_die_notifier(&die_notifier);
}

static void __exit m64emu_exit(void)
{
	unregister_die_notifier(&die_notifier);
}

module_init(m64emu_init);
module_exit(m64emu_exit);
MODULE_DESCRIPTION("MOVDIR64B, ENQCMD and ENQCMDS by trapping #UD");
MODULE_LICENSE("GPL");
