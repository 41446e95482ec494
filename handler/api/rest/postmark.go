package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/gateway"
)

func (f *front) postmarkEmail(w http.ResponseWriter, req *http.Request) error {
	message, release, err := f.letter(w, req, nil, 0)
	if err != nil {
		return err
	}
	defer release()
	if _, message.IdempotencyKey, err = names(req.Header); err != nil {
		return err
	}
	sent, err := f.Gateway.SendAll(req.Context(), message, postmark.Source())
	if err != nil {
		return err
	}
	if sent[0].Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	markSandbox(w, sent[0].Record)
	writeJSON(w, http.StatusOK, "application/json", accepted(sent[0]))
	return nil
}

// postmarkBatch answers 200 whatever became of the messages, as Postmark does: each
// has its own item in the answer.
func (f *front) postmarkBatch(w http.ResponseWriter, req *http.Request) error {
	message, release, err := f.letter(w, req, nil, 0)
	if err != nil {
		return err
	}
	defer release()
	if _, message.IdempotencyKey, err = names(req.Header); err != nil {
		return err
	}
	answer := []any{}
	err = f.Gateway.SendEach(req.Context(), message, postmark.Source(), func(_ int, s gateway.Sent, err error) {
		if err != nil {
			_, item := postmark.Refusal(f.item(req.Context(), err))
			answer = append(answer, item)
			return
		}
		markSandbox(w, s.Record)
		answer = append(answer, accepted(s))
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
	return nil
}

func accepted(s gateway.Sent) postmark.Sent {
	return postmark.Accepted(s.To, s.Record.Created.UTC(), s.Record.ID, s.Record.Sandbox)
}
