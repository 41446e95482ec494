package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/decide/history"
)

// note has the index know a message that has a record. It costs its caller no time.
func (g *Gateway) note(ctx context.Context, s *sending, answer Answer) {
	rec := answer.Record
	if g.History == nil || rec == nil || answer.Replayed {
		return
	}
	to := make([]string, 0, 1)
	for _, a := range s.m.Recipients.All() {
		to = append(to, a.Address)
	}
	g.History.Note(ctx, history.Message{OperationID: rec.OperationID, ID: rec.ID, Caller: rec.Caller, At: rec.Created}, to)
}
