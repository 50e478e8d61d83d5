//go:build unix && !linux

package services

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"syscall"
)

// dieWithParent does nothing: only Linux kills a process with its parent.
func dieWithParent(*syscall.SysProcAttr) {}

// parentsOfAll maps each process of the machine to its parent.
func parentsOfAll() map[int]int {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	parents := make(map[int]int)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var pid, parent int
		if _, err := fmt.Sscan(lines.Text(), &pid, &parent); err == nil {
			parents[pid] = parent
		}
	}
	return parents
}
