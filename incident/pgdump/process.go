package pgdump

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// child is a program that runs. Exactly one of its ends is reached: wait returns
// once the program and everything in its process group have ended.
type child struct {
	name   string
	cmd    *exec.Cmd
	leader int      // the number of its process group, and its own
	in     *os.File // what the program reads; nil if nothing
	out    *os.File // what it writes; nil if that is thrown away
	said   *speech
	grace  time.Duration
	done   chan struct{} // closed when the program has ended
	err    error         // of Wait, to be read after done
	unhook func() bool   // from the context

	mu    sync.Mutex
	ended bool
	once  sync.Once
}

// start runs a program, with pipes where they are wanted. It is stopped when ctx
// ends; that its pipes are closed then is what frees those who read and write.
func (d *Dumper) start(ctx context.Context, path string, args, env []string, in, out bool) (*child, error) {
	c := &child{name: filepath.Base(path), grace: d.cfg.GracePeriod, done: make(chan struct{}), said: newSpeech(d.cfg.Connection.Password)}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.cmd = exec.Command(path, args...)
	c.cmd.Env, c.cmd.Dir, c.cmd.SysProcAttr = env, string(filepath.Separator), ownGroup()
	var theirs []*os.File
	defer func() { closeAll(theirs...) }()
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err != nil {
			closeAll(c.in, c.out)
		}
		return r, w, err
	}
	stderr, theirErr, err := pipe()
	if err != nil {
		return nil, because(err, "make a pipe")
	}
	theirs = append(theirs, theirErr)
	c.cmd.Stderr = theirErr
	if in {
		theirIn, ours, err := pipe()
		if err != nil {
			closeAll(stderr)
			return nil, because(err, "make a pipe")
		}
		c.cmd.Stdin, c.in, theirs = theirIn, ours, append(theirs, theirIn)
	}
	if out {
		ours, theirOut, err := pipe()
		if err != nil {
			closeAll(stderr)
			return nil, because(err, "make a pipe")
		}
		c.cmd.Stdout, c.out, theirs = theirOut, ours, append(theirs, theirOut)
	}
	if err := c.cmd.Start(); err != nil {
		closeAll(stderr, c.in, c.out)
		return nil, &Error{Program: c.name, cause: err, detail: "could not be started"}
	}
	c.leader = c.cmd.Process.Pid
	go c.watch(stderr)
	c.unhook = context.AfterFunc(ctx, c.stop)
	return c, nil
}

// watch waits for the program, and then for the end of what it says: a process
// that was left behind may keep that open.
func (c *child) watch(stderr *os.File) {
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(c.said, stderr)
	}()
	err := c.cmd.Wait()
	c.mu.Lock()
	c.ended = true
	// The number of the group stays taken for as long as anything is in it.
	killGroup(c.leader)
	c.mu.Unlock()
	select {
	case <-heard:
	case <-time.After(c.grace):
	}
	closeAll(stderr)
	<-heard
	c.err = err
	close(c.done)
}

// stop ends the program: it is asked first, and killed after the grace period.
// It returns when the program has ended.
func (c *child) stop() {
	c.signal(endGroup)
	select {
	case <-c.done:
	case <-time.After(c.grace):
		c.signal(killGroup)
		// Whoever has left the group may still hold the pipes.
		c.closePipes()
		<-c.done
	}
	c.closePipes()
}

func (c *child) signal(send func(int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		send(c.leader)
	}
}

func (c *child) closePipes() { c.once.Do(func() { closeAll(c.in, c.out) }) }

// end stops the program if it still runs, and forgets it. To be deferred.
func (c *child) end() {
	c.unhook()
	select {
	case <-c.done:
		c.closePipes()
	default:
		c.stop()
	}
}

// wait waits until the program has ended, and returns why it failed.
func (c *child) wait(ctx context.Context) error {
	<-c.done
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(c.err, &exit) {
		return &Error{Program: c.name, cause: c.err, detail: "wait for it"}
	}
	detail, kind := c.said.diagnose()
	if exit.ExitCode() < 0 {
		detail = "it was ended: " + exit.ProcessState.String() + ": " + detail
	}
	return &Error{Program: c.name, Exit: exit.ExitCode(), kind: kind, detail: detail}
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
