package rest

import (
	"net/http"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
)

// sendgridMail reads no name of the message from the headers: SendGrid's client
// for Node.js writes those of the mail into the request too.
func (f *front) sendgridMail(w http.ResponseWriter, req *http.Request) error {
	message, release, err := f.letter(w, req, f.sendgridLimits, 0)
	if err != nil {
		return err
	}
	defer release()
	sent, err := f.Gateway.SendAll(req.Context(), message, sendgrid.Source())
	if err != nil {
		return err
	}
	markSandbox(w, sent[0].Record)
	if sent[0].Record == nil { // SendGrid's own sandbox mode
		w.WriteHeader(http.StatusOK)
		return nil
	}
	ids := make([]string, len(sent))
	for i, s := range sent {
		ids[i] = s.Record.ID
	}
	w.Header().Set("X-Message-Id", ids[0])
	if len(ids) > 1 {
		// SendGrid has one id for all; here each personalization is a message.
		w.Header().Set("Posthorn-Message-Ids", strings.Join(ids, ","))
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
