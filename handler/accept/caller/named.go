package caller

import (
	"context"

	"github.com/posthorn/posthorn/handler/problem"
)

// Named is a live caller, for what sends in its name without its key: a hook has a
// key of its own. It comes from the cache while that is fresh.
func (r *Registry) Named(ctx context.Context, name string) (Caller, error) {
	known, err := r.all(ctx)
	if err != nil {
		return Caller{}, err
	}
	c, ok := known[name]
	if !ok || len(c.Generations) == 0 {
		return Caller{}, problem.New(problem.NotFound, "There is no caller %q.", name)
	}
	return c, nil
}
