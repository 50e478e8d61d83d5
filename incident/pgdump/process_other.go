//go:build !unix

package pgdump

import (
	"os"
	"syscall"
)

// Without process groups only the program itself is ended, at once.
func ownGroup() *syscall.SysProcAttr { return nil }
func endGroup(leader int)            { killGroup(leader) }

func killGroup(leader int) {
	if p, err := os.FindProcess(leader); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}
