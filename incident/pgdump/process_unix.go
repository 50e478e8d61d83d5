//go:build unix

package pgdump

import "syscall"

// ownGroup makes a program lead a process group, so that what it starts can be
// ended with it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks a group of processes to end. pg_dump and pg_restore then cancel
// what the server does for them.
func endGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGTERM) }

// killGroup ends a group of processes.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }
