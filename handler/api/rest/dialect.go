package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/problem"
)

// dialect is how another API tells what it tells. What a problem becomes is sent as
// application/json: some clients lose the text of any other type.
type dialect struct {
	source wire.Source // its messages
	// refusal is a problem in the words of the API. keyed says that there was a key.
	refusal func(p *problem.Problem, keyed bool) (status int, body any)
	// limits tells the quota in the API's headers; nil if it has none.
	limits func(*api, *recorder)
	// unnamed says that headers do not name the message: a client of the API writes
	// the headers of the mail into the request too, as SendGrid's for Node.js does.
	unnamed bool
}

var (
	inResend   = &dialect{source: resend.Source(), refusal: resend.Refusal, limits: (*api).resendLimits}
	inSendGrid = &dialect{source: sendgrid.Source(), refusal: func(p *problem.Problem, _ bool) (int, any) { return sendgrid.Refusal(p) }, limits: (*api).sendgridLimits, unnamed: true}
	inPostmark = &dialect{source: postmark.Source(), refusal: func(p *problem.Problem, _ bool) (int, any) { status, body := postmark.Refusal(p); return status, body }}
)

// dialects are those of the routes that are not our own.
var dialects = map[string]*dialect{
	"/emails":             inResend,
	"/emails/batch":       inResend,
	"/emails/{id}":        inResend,
	"/emails/{id}/cancel": inResend,
	"/v3/mail/send":       inSendGrid,
	"/email":              inPostmark,
	"/email/batch":        inPostmark,
}

// sendInDialect sends what is in a body that is one object of another API.
func (a *api) sendInDialect(w http.ResponseWriter, req *http.Request, d *dialect) ([]gateway.Sent, error) {
	message, release, err := a.requestInDialect(w, req, d, 0)
	if err != nil {
		return nil, err
	}
	defer release()
	sent, err := a.Gateway.SendAll(req.Context(), message, d.source)
	for _, s := range sent {
		countedIn(w, s.Domain)
	}
	if err != nil {
		return nil, err
	}
	if sent[0].Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	markSandbox(w, sent[0].Record)
	return sent, nil
}

// requestInDialect is the request for what is in a body of another API, of at most
// atMost bytes if that is not 0. release gives back the memory that it takes.
func (a *api) requestInDialect(w http.ResponseWriter, req *http.Request, d *dialect, atMost int64) (message gateway.Request, release func(), err error) {
	proof, err := a.authenticate(w, req)
	if err != nil {
		return gateway.Request{}, nil, err
	}
	if proof.BodySHA256 != nil {
		// A batch is sent while it is read, before its hash could be known.
		return gateway.Request{}, nil, problem.New(problem.Unauthenticated, "Only ACS's own routes take a signature. Send the key.")
	}
	if contentType, err := messageType(req); err != nil {
		return gateway.Request{}, nil, err
	} else if contentType != "application/json" {
		return gateway.Request{}, nil, problem.New(problem.UnsupportedMediaType, "The body must be JSON in UTF-8. Set Content-Type to application/json.")
	}
	limit := a.limit(proof.Caller)
	if atMost > 0 {
		limit = min(limit, atMost)
	}
	message = gateway.Request{Caller: proof.Caller, BodyBytes: req.ContentLength}
	if message.Language, err = contentLanguage(req); err != nil {
		return gateway.Request{}, nil, err
	}
	if !d.unnamed {
		if _, message.IdempotencyKey, err = names(req.Header); err != nil {
			return gateway.Request{}, nil, err
		}
	}
	message.Body, release, err = a.unpack(w, req, proof.Caller, &message.BodyBytes, limit)
	return message, release, err
}

// unpack is admit for a body that may be compressed, whose length is then unknown.
func (a *api) unpack(w http.ResponseWriter, req *http.Request, c caller.Caller, bytes *int64, limit int64) (io.Reader, func(), error) {
	if !strings.EqualFold(req.Header.Get("Content-Encoding"), "gzip") {
		if err := unencoded(req); err != nil {
			return nil, nil, err
		}
		return a.admit(w, req, c, *bytes, limit)
	}
	*bytes = -1
	body, release, err := a.admit(w, req, c, -1, limit)
	if err != nil {
		return nil, nil, err
	}
	return unzip(body, limit), release, nil
}

// window is the one of the two limits that has less left.
func window(v quota.View) (limit, remaining, reset int) {
	if v.RemainingHour < v.RemainingMinute {
		return v.Limits.PerHour, v.RemainingHour, v.ResetHour
	}
	return v.Limits.PerMinute, v.RemainingMinute, v.ResetMinute
}

// resendLimits tells the quota as Resend does: what is left, and seconds until
// there is more.
func (a *api) resendLimits(out *recorder) {
	a.tellLimits(out, "Ratelimit-", func(reset int) int64 { return int64(reset) })
}

// sendgridLimits tells the quota as SendGrid does: the reset is a time, in seconds
// since 1970.
func (a *api) sendgridLimits(out *recorder) {
	a.tellLimits(out, "X-Ratelimit-", func(reset int) int64 { return a.Now().Unix() + int64(reset) })
}

func (a *api) tellLimits(out *recorder, prefix string, resetAs func(seconds int) int64) {
	v := a.Gateway.Quota(out.domain)
	if !v.Known {
		return
	}
	limit, remaining, reset := window(v)
	h := out.Header()
	h.Set(prefix+"Limit", strconv.Itoa(limit))
	h.Set(prefix+"Remaining", strconv.Itoa(remaining))
	h.Set(prefix+"Reset", strconv.FormatInt(resetAs(reset), 10))
}

// item is why one message of a batch was not taken. A failure of ours is logged here:
// the request as a whole has none.
func (a *api) item(ctx context.Context, err error) *problem.Problem {
	p := understand(err)
	if p.Kind.Status() >= http.StatusInternalServerError {
		a.Log.ErrorContext(ctx, "message of a batch failed", "problem", p.Kind.Slug(), "error", errors.Unwrap(p))
	}
	return p
}
