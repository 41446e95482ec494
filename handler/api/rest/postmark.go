package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/gateway"
)

func (a *api) postmarkEmail(w http.ResponseWriter, req *http.Request) error {
	sent, err := a.sendInDialect(w, req, inPostmark)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", accepted(sent[0]))
	return nil
}

// postmarkBatch answers 200 whatever became of the messages, as Postmark does: each
// has its own item in the answer.
func (a *api) postmarkBatch(w http.ResponseWriter, req *http.Request) error {
	message, release, err := a.requestInDialect(w, req, inPostmark, 0)
	if err != nil {
		return err
	}
	defer release()
	answer := []any{}
	err = a.Gateway.SendBatch(req.Context(), message, inPostmark.source, gateway.Each, func(_ int, s gateway.Sent, err error) {
		countedIn(w, s.Domain)
		if err != nil {
			_, item := postmark.Refusal(a.item(req.Context(), err))
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
