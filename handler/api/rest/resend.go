package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func (f *front) resendEmail(w http.ResponseWriter, req *http.Request) error {
	message, release, err := f.letter(w, req, f.resendLimits, 0)
	if err != nil {
		return err
	}
	defer release()
	if _, message.IdempotencyKey, err = names(req.Header); err != nil {
		return err
	}
	sent, err := f.Gateway.SendAll(req.Context(), message, resend.Source())
	if err != nil {
		return err
	}
	if sent[0].Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	markSandbox(w, sent[0].Record)
	writeJSON(w, http.StatusOK, "application/json", resend.Sent{ID: sent[0].Record.ID})
	return nil
}

// How Resend's clients ask for a batch to be taken. Without a word it is strict.
const (
	strict     = "strict"     // all messages must be good, or none is sent
	permissive = "permissive" // each for itself
)

// maxStrictBytes bounds a batch whose texts are held until all of it was read.
const maxStrictBytes = mail.MaxACSRequestBytes

func (f *front) resendBatch(w http.ResponseWriter, req *http.Request) error {
	mode, atMost := req.Header.Get("X-Batch-Validation"), int64(0)
	send := f.Gateway.SendEach
	switch mode {
	case "", strict:
		atMost, send = maxStrictBytes, f.Gateway.SendAllOrNone
	case permissive:
	default:
		return problem.New(problem.InvalidMessage, "X-Batch-Validation must be strict or permissive.")
	}
	message, release, err := f.letter(w, req, f.resendLimits, atMost)
	if err != nil {
		return err
	}
	defer release()
	if _, message.IdempotencyKey, err = names(req.Header); err != nil {
		return err
	}
	answer, first := resend.Batch{Data: []resend.Sent{}}, error(nil)
	err = send(req.Context(), message, resend.Source(), func(i int, s gateway.Sent, err error) {
		if err == nil {
			markSandbox(w, s.Record)
			answer.Data = append(answer.Data, resend.Sent{ID: s.Record.ID})
			return
		}
		if first == nil {
			first = err
		}
		answer.Errors = append(answer.Errors, resend.BatchError{Index: i, Message: f.item(req.Context(), err).Sentence()})
	})
	if err == nil && len(answer.Data) == 0 && mode != permissive {
		err = first
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
	return nil
}

func (f *front) resendFind(w http.ResponseWriter, req *http.Request) error {
	proof, err := f.authenticate(w, req)
	if err != nil {
		return err
	}
	tell(w, f.resendLimits)
	id, err := messageID(req)
	if err != nil {
		return err
	}
	found, err := f.Gateway.Find(req.Context(), proof.Caller, id)
	if err != nil {
		return err
	}
	markSandbox(w, found.Record)
	o := describe(found)
	e := resend.Email{Object: resend.Object, ID: found.ID, CreatedAt: found.Created, Tags: found.Tags}
	if found.State == record.Waiting {
		e.ScheduledAt = &found.Expected
	}
	code := ""
	if o.Error != nil {
		code = o.Error.Code
		e.Error = resend.Failed(code, o.Error.Message)
	}
	e.LastEvent = resend.Event(string(found.State), o.Status == "Running", code)
	writeJSON(w, http.StatusOK, "application/json", e)
	return nil
}

func (f *front) resendCancel(w http.ResponseWriter, req *http.Request) error {
	proof, err := f.authenticate(w, req)
	if err != nil {
		return err
	}
	tell(w, f.resendLimits)
	id, err := messageID(req)
	if err != nil {
		return err
	}
	found, err := f.Gateway.Cancel(req.Context(), proof.Caller, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", resend.Canceled{Object: resend.Object, ID: found.ID})
	return nil
}
