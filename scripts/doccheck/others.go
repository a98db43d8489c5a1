// SPDX-License-Identifier: GPL-2.0

package main

// others are names in documents that are not of this repository.
var others = names(
	// the kernel
	"SYNC_CORE", "idle_cpu()", "func_stack", "i_mmap", "dup_mmap_sem", "pidfd_pid()", "pidfd_get_pid()", "pidfd_get_task()",
	"EXPORT_SYMBOL", "kernel/fork.c", "kernel/pid.c", "fs/pidfs.c", "file_operations", "MADV_DONTFORK", "put_task_stack()",
	"CONFIG_X86_USER_SHADOW_STACK", "kernel/events/uprobes.c", "vm.max_map_count", "security_mmap_file()", "CONFIG_CRYPTO_ECDSA",
	"linux/module_signature.h", "bprm_execve()", "do_exit()", "struct module_signature",
	// compilers and their libraries
	"_Unwind_Find_FDE", "-fsplit-stack",
	// programs that documents tell of
	"config_create()", "--appimage-extract", "HTTP_VERSION_MINOR", "chase()", "_apt", "socket_netlink_generic_lpatch.txt",
	// what lpatch or its user makes, and what stands for any name
	"boots.yaml", "KERNEL_OTHER", "try.sh", "script.sh", "FuzzXxx", "../case.h",
)

func names(list ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range list {
		set[name] = true
	}
	return set
}
