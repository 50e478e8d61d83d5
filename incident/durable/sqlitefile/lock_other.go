//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package sqlitefile

import "errors"

// lock refuses: without a lock two processes could carry out the same run.
func lock(string) (release func() error, err error) {
	return nil, errors.ErrUnsupported
}

func syncFolder(string) error { return errors.ErrUnsupported }
