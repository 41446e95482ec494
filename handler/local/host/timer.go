package host

import (
	"context"
	"time"
)

// runs are the times in a timer's envelope; the real host keeps them in storage,
// the stand-in in memory. Source: azure-webjobs-sdk-extensions, ScheduleStatus.cs.
type runs struct {
	Last        time.Time
	Next        time.Time
	LastUpdated time.Time
}

// keepTime fires f at each of its times until ctx ends, one call after another.
func (h *Host) keepTime(ctx context.Context, f function) {
	var past *runs
	if f.runOnStartup {
		past = h.fire(ctx, f, past)
	}
	for {
		next := f.timer.next(time.Now())
		if !sleep(ctx, time.Until(next)) {
			return
		}
		past = h.fire(ctx, f, past)
	}
}

// fire calls f and returns the times that its next call will be told. past is
// nil for a call without a history.
func (h *Host) fire(ctx context.Context, f function, past *runs) *runs {
	now := time.Now().UTC()
	err := h.invoke(ctx, f, f.newEnvelope(map[string]any{
		"Schedule":       map[string]any{"AdjustForDST": true},
		"ScheduleStatus": past,
		"IsPastDue":      false,
	}, map[string]any{}))
	if err != nil && ctx.Err() == nil {
		h.log.Error("timer call failed", "function", f.name, "error", err)
	}
	return &runs{Last: now, Next: f.timer.next(now), LastUpdated: now}
}
