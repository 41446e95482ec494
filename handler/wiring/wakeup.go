package wiring

import (
	"context"
	"log/slog"

	"github.com/posthorn/posthorn/handler/api/trigger"
)

// dropWakeUp leaves nothing of a wake-up message that has failed as often as the host
// tries: WatchdogFunction finds in the tables whatever it says. Its text is not logged,
// since any writer of the queue may have chosen it.
func dropWakeUp(log *slog.Logger) func(context.Context, trigger.Invocation) error {
	return func(_ context.Context, in trigger.Invocation) error {
		if in.Queue != nil {
			log.Error("wake-up message failed too often, dropped; the watchdog replaces it", "message", in.Queue.ID, "since", in.Queue.Inserted)
		}
		return nil
	}
}
