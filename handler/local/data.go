package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockName is the file whose lock says that somebody uses the data.
const lockName = "lock"

// own makes the folder of the data and takes it, so that no second run writes to
// it and no reset removes it meanwhile. Closing the file gives it back.
func own(c config) (*os.File, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(c.path(lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("another run uses the data in %s: end that one first, or choose another folder with POSTHORN_LOCAL_DIR", c.Dir), f.Close())
	}
	return f, nil
}

// reset removes all data but the lock itself.
func reset(c config) error {
	if _, err := os.Stat(c.Dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := own(c)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.Dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
