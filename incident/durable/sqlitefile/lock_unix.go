//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sqlitefile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes the lock of the kernel on a file, which it makes if there is none.
func lock(path string) (release func() error, err error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		// Somebody may have removed the file, and another process made a new one.
		mine, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
			return func() error {
				// A child that is just being started has a copy of the descriptor until it
				// executes its program, and would keep the lock.
				return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
			}, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

// syncFolder makes the name of a new file durable.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
