package mem

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Container is a container in memory. It is safe for concurrent use. It is an
// http.RoundTripper too, which answers the URLs that SignRead and SignWrite made.
type Container struct {
	now  func() time.Time
	plan Plan

	mu     sync.Mutex
	staged map[string]map[string][]byte // by a blob's name and a block's id
	blobs  sorted[file]
}

type file struct {
	headers store.BlobHeaders
	data    []byte
	sealed  bool
}

// NewContainer returns an empty container whose service has the clock now.
func NewContainer(now func() time.Time, plan Plan) *Container {
	return &Container{now: now, plan: plan, staged: map[string]map[string][]byte{}}
}

// Checksum is as in store/blob.
func (c *Container) Checksum() hash.Hash { return crc32.NewIEEE() }

// Stage is as in store/blob.
func (c *Container) Stage(ctx context.Context, name string, n int, block, sum []byte) error {
	if err := limits.Block(n, len(block)); err != nil {
		return err
	}
	return c.call(ctx, Stage, name, func() error {
		if !bytes.Equal(sum, binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(block))) {
			return fmt.Errorf("stage block: %w: damaged on the way", store.ErrUnavailable)
		}
		c.stage(name, strconv.Itoa(n), bytes.Clone(block))
		return nil
	})
}

// Commit is as in store/blob.
func (c *Container) Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error {
	if err := limits.Blocks(blocks); err != nil {
		return err
	}
	return c.call(ctx, Commit, name, func() error {
		if _, found := c.blobs.get(name); found {
			return store.ErrExists
		}
		ids := make([]string, blocks)
		for n := range ids {
			ids[n] = strconv.Itoa(n)
		}
		return c.commit(name, ids, h)
	})
}

// Staged are the names of blobs whose blocks wait for a commit, for tests.
func (c *Container) Staged() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.staged))
}

func (c *Container) stage(name, id string, block []byte) {
	if c.staged[name] == nil {
		c.staged[name] = map[string][]byte{}
	}
	c.staged[name][id] = block
}

func (c *Container) commit(name string, ids []string, h store.BlobHeaders) error {
	var data []byte
	for _, id := range ids {
		block, found := c.staged[name][id]
		if !found {
			return store.ErrMissing
		}
		data = append(data, block...)
	}
	delete(c.staged, name)
	c.blobs.set(name, file{headers: h, data: data})
	return nil
}

// Put is as in store/blob.
func (c *Container) Put(ctx context.Context, name string, data []byte) error {
	if err := limits.Whole(int64(len(data))); err != nil {
		return err
	}
	return c.call(ctx, Put, name, func() error {
		if _, found := c.blobs.get(name); found {
			return store.ErrExists
		}
		delete(c.staged, name)
		c.blobs.set(name, file{data: bytes.Clone(data)})
		return nil
	})
}

// Read is as in store/blob.
func (c *Container) Read(ctx context.Context, name string) (data []byte, err error) {
	err = c.call(ctx, Read, name, func() error {
		f, found := c.blobs.get(name)
		if !found {
			return store.ErrMissing
		}
		data = append([]byte{}, f.data...)
		return limits.Whole(int64(len(data)))
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Size is as in store/blob.
func (c *Container) Size(ctx context.Context, name string) (size int64, err error) {
	err = c.call(ctx, Size, name, func() error {
		f, found := c.blobs.get(name)
		if !found {
			return store.ErrMissing
		}
		size = int64(len(f.data))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}

// Seal is as in store/blob.
func (c *Container) Seal(ctx context.Context, name string, h store.BlobHeaders) (size int64, err error) {
	err = c.call(ctx, Seal, name, func() error {
		f, found := c.blobs.get(name)
		if !found {
			return store.ErrMissing
		}
		f.headers, f.sealed = h, true
		c.blobs.set(name, f)
		size = int64(len(f.data))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}

// Delete is as in store/blob.
func (c *Container) Delete(ctx context.Context, name string) error {
	return c.call(ctx, Delete, name, func() error {
		if _, found := c.blobs.get(name); !found {
			return store.ErrMissing
		}
		c.blobs.remove(name)
		return nil
	})
}

// List is as in store/blob, without the bound on a page. A marker is the last name of a page.
func (c *Container) List(ctx context.Context, prefix, marker string, n int) (found []store.Blob, next string, err error) {
	err = c.call(ctx, List, cmp.Or(marker, prefix), func() error {
		found, next = nil, ""
		for name, f := range c.blobs.from(max(prefix, marker)) {
			switch {
			case !strings.HasPrefix(name, prefix):
				return nil
			case name == marker:
				continue
			case len(found) == n:
				next = found[n-1].Name
				return nil
			}
			found = append(found, store.Blob{Name: name, Size: int64(len(f.data))})
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

func (c *Container) call(ctx context.Context, op Op, key string, act func() error) error {
	return c.plan.run(ctx, op, key, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return act()
	})
}
