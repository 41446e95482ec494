package wiring

import (
	"context"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/problem"
)

// authority is gateway.Authority over the two lists of the operator.
type authority struct {
	callers *caller.Registry
	hooks   *hook.Registry
}

// Sender implements gateway.Authority.
func (a authority) Sender(ctx context.Context, name, by string) (caller.Caller, error) {
	c, err := a.callers.Current(ctx, name)
	switch {
	case problem.Is(err, problem.NotFound):
		return caller.Caller{}, problem.New(problem.Forbidden, "The operator has revoked the caller %q. The message was not sent.", name)
	case err != nil || by == "":
		return c, err
	}
	h, err := a.hooks.Current(ctx, by, name)
	if problem.Is(err, problem.NotFound) {
		err = problem.New(problem.Forbidden, "The operator has removed the hook %q, by which the message came. The message was not sent.", by)
	}
	return c.ByHook(h.Pause), err
}
