package wiring

import (
	"context"
	"log/slog"

	"github.com/posthorn/posthorn/handler/api/trigger"
)

// dropTick leaves nothing of a tick that has failed as often as the host tries: it
// says nothing that TendFunction does not find in the tables. What is in it is not
// logged, since anybody may have put it there who may write to the queue.
func dropTick(log *slog.Logger) func(context.Context, trigger.Invocation) error {
	return func(_ context.Context, in trigger.Invocation) error {
		if in.Queue != nil {
			log.Error("a tick has failed too often and is dropped", "message", in.Queue.ID, "since", in.Queue.Inserted)
		}
		return nil
	}
}
