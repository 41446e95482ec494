package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/problem"
)

// form is a problem in the words of another API, as application/json: some of its
// clients lose the text of any other type. keyed says that there was a key.
type form func(p *problem.Problem, keyed bool) (status int, body any)

// forms are those of the routes that are not our own.
var forms = map[string]form{
	"/emails":             inResend,
	"/emails/batch":       inResend,
	"/emails/{id}":        inResend,
	"/emails/{id}/cancel": inResend,
	"/v3/mail/send":       inSendGrid,
	"/email":              inPostmark,
	"/email/batch":        inPostmark,
}

// letter is the request for what is in a body in another API's words, of at most
// atMost bytes if that is not 0. The answer tells limits, if they are not nil, as
// that API does. release gives back the room that it takes.
func (f *front) letter(w http.ResponseWriter, req *http.Request, limits func(http.Header), atMost int64) (message gateway.Request, release func(), err error) {
	proof, err := f.authenticate(w, req)
	if err != nil {
		return gateway.Request{}, nil, err
	}
	tell(w, limits)
	if proof.BodySHA256 != nil {
		// A batch is sent while it is read, before its hash could be known.
		return gateway.Request{}, nil, problem.New(problem.Unauthenticated, "A signature is understood on ACS's own routes alone. Send the key.")
	}
	if contentType, err := messageType(req); err != nil {
		return gateway.Request{}, nil, err
	} else if contentType != "application/json" {
		return gateway.Request{}, nil, problem.New(problem.UnsupportedMediaType, "The body must be JSON in UTF-8. Set Content-Type to application/json.")
	}
	limit := f.limit(proof.Caller)
	if atMost > 0 {
		limit = min(limit, atMost)
	}
	language, err := contentLanguage(req)
	if err != nil {
		return gateway.Request{}, nil, err
	}
	message = gateway.Request{Caller: proof.Caller, Language: language, BodyBytes: req.ContentLength}
	message.Body, release, err = f.unpack(w, req, proof.Caller, &message.BodyBytes, limit)
	return message, release, err
}

// unpack is admit for a body that may be compressed, whose length is then unknown.
func (f *front) unpack(w http.ResponseWriter, req *http.Request, c caller.Caller, bytes *int64, limit int64) (io.Reader, func(), error) {
	if !strings.EqualFold(req.Header.Get("Content-Encoding"), "gzip") {
		if err := unencoded(req); err != nil {
			return nil, nil, err
		}
		return f.admit(w, req, c, *bytes, limit)
	}
	*bytes = -1
	body, release, err := f.admit(w, req, c, -1, limit)
	if err != nil {
		return nil, nil, err
	}
	return unzip(body, limit), release, nil
}

// tell lets the answer to a caller that is known carry more headers of limits than
// our own.
func tell(w http.ResponseWriter, limits func(http.Header)) {
	out, ok := w.(*recorder)
	if !ok || limits == nil {
		return
	}
	ours := out.last
	out.last = func(h http.Header) {
		ours(h)
		limits(h)
	}
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
func (f *front) resendLimits(h http.Header) {
	f.tellLimits(h, "Ratelimit-", func(reset int) int64 { return int64(reset) })
}

// sendgridLimits tells the quota as SendGrid does: the reset is a time, in seconds
// since 1970.
func (f *front) sendgridLimits(h http.Header) {
	f.tellLimits(h, "X-Ratelimit-", func(reset int) int64 { return f.Now().Unix() + int64(reset) })
}

func (f *front) tellLimits(h http.Header, prefix string, resetAs func(seconds int) int64) {
	v := f.Gateway.Quota()
	if !v.Known {
		return
	}
	limit, remaining, reset := window(v)
	h.Set(prefix+"Limit", strconv.Itoa(limit))
	h.Set(prefix+"Remaining", strconv.Itoa(remaining))
	h.Set(prefix+"Reset", strconv.FormatInt(resetAs(reset), 10))
}

// item is why one message of a batch was not taken. A fault of ours is logged here:
// the request as a whole has none.
func (f *front) item(ctx context.Context, err error) *problem.Problem {
	p := understand(err)
	if p.Kind.Status() >= http.StatusInternalServerError {
		f.Log.ErrorContext(ctx, "a message of a batch was not taken", "problem", p.Kind.Slug(), "error", errors.Unwrap(p))
	}
	return p
}
