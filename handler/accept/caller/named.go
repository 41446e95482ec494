package caller

import (
	"context"

	"github.com/posthorn/posthorn/handler/problem"
)

// Named is a live caller, for what sends in its name without its key: a hook has a
// key of its own. While storage is away it comes from the last list, as for a key.
func (r *Registry) Named(ctx context.Context, name string) (Caller, error) {
	known, err := r.list.Known(ctx)
	return alive(known, name, err)
}

// Current is Named, but Unavailable where the list may have changed since it was read, as
// for what leaves without anybody's asking.
func (r *Registry) Current(ctx context.Context, name string) (Caller, error) {
	known, err := r.list.Fresh(ctx)
	return alive(known, name, err)
}

// ByHook is c as it sends by a hook, whose own pause holds too if it is not nil.
func (c Caller) ByHook(pause *problem.Pause) Caller {
	if c.Pause == nil && pause != nil {
		of := *pause
		of.What = "this hook"
		c.Pause = &of
	}
	return c
}

func alive(known map[string]Caller, name string, err error) (Caller, error) {
	if err != nil {
		return Caller{}, unavailable(err)
	}
	c, ok := known[name]
	if !ok || len(c.Generations) == 0 {
		return Caller{}, problem.New(problem.NotFound, "There is no caller %q.", name)
	}
	return c, nil
}
