package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func (a *api) resendEmail(w http.ResponseWriter, req *http.Request) error {
	sent, err := a.sendInDialect(w, req, inResend)
	if err != nil {
		return err
	}
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

func (a *api) resendBatch(w http.ResponseWriter, req *http.Request) error {
	mode, atMost := req.Header.Get("X-Batch-Validation"), int64(0)
	policy := gateway.Each
	switch mode {
	case "", strict:
		atMost, policy = maxStrictBytes, gateway.AllOrNone
	case permissive:
	default:
		return problem.New(problem.InvalidMessage, "X-Batch-Validation must be strict or permissive.")
	}
	message, release, err := a.requestInDialect(w, req, inResend, atMost)
	if err != nil {
		return err
	}
	defer release()
	answer, first := resend.Batch{Data: []resend.Sent{}}, error(nil)
	err = a.Gateway.SendBatch(req.Context(), message, inResend.source, policy, func(i int, s gateway.Sent, err error) {
		countedIn(w, s.Domain)
		if err == nil {
			markSandbox(w, s.Record)
			answer.Data = append(answer.Data, resend.Sent{ID: s.Record.ID})
			return
		}
		if first == nil {
			first = err
		}
		answer.Errors = append(answer.Errors, resend.BatchError{Index: i, Message: a.item(req.Context(), err).Sentence()})
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

func (a *api) resendFind(w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error {
	found, err := a.Gateway.Find(req.Context(), c, id)
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

func (a *api) resendCancel(w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error {
	found, err := a.Gateway.Cancel(req.Context(), c, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", resend.Canceled{Object: resend.Object, ID: found.ID})
	return nil
}
