package rest

import (
	"net/http"
	"strings"
)

func (a *api) sendgridMail(w http.ResponseWriter, req *http.Request) error {
	sent, err := a.sendInDialect(w, req, inSendGrid)
	if err != nil {
		return err
	}
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
