//go:build linux

package sqlitefile_test

import "syscall"

// number returns the system call of a thread that is stopped at it.
func number(pid int) int {
	var registers syscall.PtraceRegs
	if syscall.PtraceGetRegs(pid, &registers) != nil {
		return -1
	}
	return int(registers.Orig_rax)
}
