package sim

import (
	"context"
	"hash"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// container is a container as one instance reaches it.
type container struct {
	i    *Instance
	name string
	c    *mem.Container
}

func (c *container) do(ctx context.Context, op mem.Op, key string, act func() error) error {
	return c.i.call(ctx, Site{Where: c.name, Op: op}, key, act)
}

func (c *container) Stage(ctx context.Context, name string, n int, block, sum []byte) error {
	return c.do(ctx, mem.Stage, name, func() error { return c.c.Stage(ctx, name, n, block, sum) })
}

func (c *container) Checksum() hash.Hash { return c.c.Checksum() }

func (c *container) Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error {
	return c.do(ctx, mem.Commit, name, func() error { return c.c.Commit(ctx, name, blocks, h) })
}

func (c *container) Put(ctx context.Context, name string, data []byte) error {
	return c.do(ctx, mem.Put, name, func() error { return c.c.Put(ctx, name, data) })
}

func (c *container) Read(ctx context.Context, name string) (data []byte, err error) {
	err = c.do(ctx, mem.Read, name, func() (err error) {
		data, err = c.c.Read(ctx, name)
		return err
	})
	return data, err
}

func (c *container) Delete(ctx context.Context, name string) error {
	return c.do(ctx, mem.Delete, name, func() error { return c.c.Delete(ctx, name) })
}

func (c *container) List(ctx context.Context, prefix, marker string, n int) (found []store.Blob, next string, err error) {
	err = c.do(ctx, mem.List, prefix, func() (err error) {
		found, next, err = c.c.List(ctx, prefix, marker, n)
		return err
	})
	return found, next, err
}

func (c *container) SignRead(ctx context.Context, name string, h store.BlobHeaders, from, until time.Time) (string, error) {
	return c.c.SignRead(ctx, name, h, from, until)
}

func (c *container) SignWrite(ctx context.Context, name string, from, until time.Time) (string, error) {
	return c.c.SignWrite(ctx, name, from, until)
}

func (c *container) Size(ctx context.Context, name string) (size int64, err error) {
	err = c.do(ctx, mem.Size, name, func() (err error) {
		size, err = c.c.Size(ctx, name)
		return err
	})
	return size, err
}

func (c *container) Seal(ctx context.Context, name string, h store.BlobHeaders) (size int64, err error) {
	err = c.do(ctx, mem.Seal, name, func() (err error) {
		size, err = c.c.Seal(ctx, name, h)
		return err
	})
	return size, err
}

// queue is the queue as one instance reaches it.
type queue struct {
	i *Instance
	q *mem.Queue
}

func (q *queue) Send(ctx context.Context, text string, delay time.Duration) error {
	return q.i.call(ctx, Site{Where: "wake-ups", Op: mem.Send}, text, func() error { return q.q.Send(ctx, text, delay) })
}
