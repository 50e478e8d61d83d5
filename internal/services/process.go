//go:build unix

package services

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server that a test started. It leads a process group of its
// own and, on Linux, is killed when the test's process dies, however that
// happens. Its methods are for one goroutine at a time.
type process struct {
	cmd    *exec.Cmd
	name   string
	output *tail
	done   chan struct{} // closed once the server has ended
	err    error         // of Wait; to be read after done
}

// startProcess starts a command; its output goes to output.
func startProcess(cmd *exec.Cmd, name string, output *tail) (*process, error) {
	cmd.Stdout, cmd.Stderr = output, output
	// A grandchild that keeps the output open must not keep Wait from returning.
	cmd.WaitDelay = 5 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	p := &process{cmd: cmd, name: name, output: output, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux takes the thread for the parent, so the thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// ready polls until the server answers, has ended, or the time is over.
func (p *process) ready(within time.Duration, answers func() bool) error {
	deadline := time.Now().Add(within)
	for !answers() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v\n%s", p.name, p.err, p.output)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was not ready within %v\n%s", p.name, within, p.output)
		}
	}
	return nil
}

// running reports whether the server has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks the server to end and waits; one that does not is killed, which is
// an error, as is an exit code other than 0.
func (p *process) stop(s syscall.Signal, within time.Duration) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("%s did not end within %v and was killed", p.name, within)
	}
	if p.err != nil {
		return fmt.Errorf("%s ended badly: %w", p.name, p.err)
	}
	return nil
}

// kill ends the server and all of its descendants at once and waits for it.
// They are frozen first, so that none can start another unseen.
func (p *process) kill() {
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	for _, pid := range descendants(p.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// freeze stops the server and all of its descendants from running, in an order
// in which none of them can start another unseen.
func (p *process) freeze(t testing.TB) {
	t.Helper()
	p.signalAll(t, syscall.SIGSTOP)
}

// thaw lets them run again.
func (p *process) thaw(t testing.TB) {
	t.Helper()
	p.signalAll(t, syscall.SIGCONT)
}

func (p *process) signalAll(t testing.TB, s syscall.Signal) {
	t.Helper()
	if !p.running() {
		t.Fatalf("signal %s: it is not running", p.name)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
	for _, pid := range descendants(p.cmd.Process.Pid) {
		// One that has ended by itself meanwhile needs no signal.
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("signal a child of %s: %v", p.name, err)
		}
	}
}

// descendants lists the children of a process, their children, and so on. The
// process group would not do: PostgreSQL's server processes leave it.
func descendants(pid int) []int {
	parents := parentsOfAll()
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		for child, parent := range parents {
			if parent == found[i] {
				found = append(found, child)
			}
		}
	}
	return found[1:]
}

// tail keeps the last part of what a server writes. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 32 << 10

// Write implements io.Writer.
func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if over := len(o.text) - tailSize; over > 0 {
		o.text = bytes.Clone(o.text[over:])
	}
	return len(p), nil
}

// String implements fmt.Stringer.
func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
