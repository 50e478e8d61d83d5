//go:build linux && (amd64 || arm64)

package sqlitefile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// childVariable makes this binary a program that writes so many times to a file.
const childVariable = "RUNBOOK_SQLITEFILE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		if err := writes(path, os.Getenv(childVariable+"_WRITES")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func writes(path, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	db, err := sqlitefile.Open(context.Background(), path)
	if err != nil {
		return err
	}
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)"); err != nil {
		return err
	}
	for i := range n {
		if _, err := db.Exec("INSERT INTO t VALUES ($1)", i); err != nil {
			return err
		}
	}
	return db.Close()
}

// Each commit is synchronised to the disk: that is counted at the border of the kernel.
//
// Requirement: INC-CRASH-FILE-DURABLE
func TestEachCommitIsSynchronised(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs.db")
	syncs(t, file, 0) // makes it
	none := syncs(t, file, 0)
	const commits = 100
	got := syncs(t, file, commits) - none
	t.Logf("%d fsync for %d commits", got, commits)
	assert.GreaterOrEqual(t, got, commits)
}

// syncs runs the program under ptrace and counts its calls of fsync and fdatasync.
func syncs(t *testing.T, file string, times int) (n int) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+file, childVariable+"_WRITES="+strconv.Itoa(times))
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	err := cmd.Start()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skip("this system does not let a program be traced")
	}
	require.NoError(t, err)
	leader := cmd.Process.Pid
	var status syscall.WaitStatus
	_, err = syscall.Wait4(leader, &status, 0, nil)
	require.NoError(t, err)
	require.NoError(t, syscall.PtraceSetOptions(leader, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD))
	require.NoError(t, syscall.PtraceSyscall(leader, 0))
	inside := make(map[int]bool)
	for {
		pid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		require.NoError(t, err)
		if status.Exited() || status.Signaled() {
			if pid == leader {
				require.Zero(t, status.ExitStatus())
				return n
			}
			continue
		}
		deliver := 0
		switch signal := status.StopSignal(); {
		case signal == syscall.SIGTRAP|0x80: // at the border
			if inside[pid] = !inside[pid]; inside[pid] {
				if call := number(pid); call == syscall.SYS_FSYNC || call == syscall.SYS_FDATASYNC {
					n++
				}
			}
		case signal == syscall.SIGTRAP, signal == syscall.SIGSTOP: // a thread began
		default:
			deliver = int(signal)
		}
		if err := syscall.PtraceSyscall(pid, deliver); err != nil && !errors.Is(err, syscall.ESRCH) {
			require.NoError(t, err)
		}
	}
}
