package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/problem"
)

// hookMethods are those of /hooks/{name}: deliveries, the handshake of CloudEvents
// and CORS, and senders that look before they deliver.
var hookMethods = []string{http.MethodPost, http.MethodPut, http.MethodOptions, http.MethodGet, http.MethodHead}

// hookMemoryFactor is what a delivery needs of memory beside its body, over its
// bytes: its tree, what templates see of it, and the message in two forms.
const hookMemoryFactor = 32

// hook answers all requests for one hook. Who proves nothing is answered the same whether
// there is a hook or not: only a form shows itself.
func (a *api) hook(w http.ResponseWriter, req *http.Request) (err error) {
	defer func() { err = a.ofHook(req, err) }()
	d := hook.Delivery{Header: req.Header, Query: req.URL.Query(), At: a.Now()}
	if req.Method != http.MethodPost && req.Method != http.MethodPut {
		if err := a.noBody(w, req); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	h, err := a.Hooks.Find(ctx, req.PathValue("name"), d)
	if err != nil {
		return err
	}
	if origin := req.Header.Get("Origin"); h.AllowsOrigin(origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		w.Header().Add("Vary", "Origin")
	}
	switch req.Method {
	case http.MethodOptions:
		return a.preflight(w, req, h, d)
	case http.MethodPost, http.MethodPut: // a contact point of Grafana may have either
		err := a.deliver(w, req, h, d)
		if h.IsForm() && problem.Is(err, problem.Paused) { // what the operator says is not for strangers
			err = unavailableNow(err)
		}
		return err
	default:
		return a.greet(w, req, h, d)
	}
}

// hookError is why a request to a hook failed, for the log.
type hookError struct {
	error

	hook, reason string
}

func (e hookError) Unwrap() error { return e.error }

// ofHook notes which hook failed, and why where its sender must not know.
func (a *api) ofHook(req *http.Request, err error) error {
	if err == nil {
		return nil
	}
	name := req.PathValue("name")
	e := hookError{error: err, hook: hook.LoggedName(name)}
	if problem.Is(err, problem.Unauthenticated) || problem.Is(err, problem.Forbidden) {
		e.reason = a.Hooks.WhyRefused(req.Context(), name, hook.Delivery{Header: req.Header, Query: req.URL.Query(), At: a.Now()})
	}
	return e
}

// greet answers a sender, or its operator, who looks whether somebody is there.
func (a *api) greet(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) error {
	if h.IsForm() {
		writePage(w, http.StatusOK, offload.Note("A form's address", "This address takes what a form sends. There is nothing to see here."), "en")
		return nil
	}
	if _, err := a.Hooks.Greet(req.Context(), h, d); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ready"})
	return nil
}

// origins is what may be told back to a sender that asks to deliver.
var origins = regexp.MustCompile(`^[A-Za-z0-9.:*-]{1,255}$`)

// preflight answers what comes before a delivery: CORS for a form that is sent by
// fetch, and the abuse protection of CloudEvents, which wants the key of a signed hook too:
// there is no body to sign. Source: HTTP 1.1 Web Hooks for Event Delivery 1.0.1 section 4. A
// WebHook-Request-Callback is never called: its address is a stranger's.
func (a *api) preflight(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) error {
	head := w.Header()
	if h.IsForm() {
		head.Set("Allow", strings.Join(hookMethods, ", "))
		if head.Get("Access-Control-Allow-Origin") == "" {
			return problem.New(problem.Forbidden, "This form takes nothing from this site. The operator can add the site's origin.")
		}
		head.Set("Access-Control-Allow-Methods", http.MethodPost)
		head.Set("Access-Control-Allow-Headers", "Content-Type, Accept")
		head.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if _, err := a.Hooks.Greet(req.Context(), h, d); err != nil {
		return err
	}
	head.Set("Allow", strings.Join(hookMethods, ", "))
	if asker := req.Header.Get("WebHook-Request-Origin"); asker != "" {
		if !origins.MatchString(asker) {
			return problem.New(problem.InvalidRequest, "WebHook-Request-Origin is not the name of a host.")
		}
		head.Set("WebHook-Allowed-Origin", asker)
		head.Set("WebHook-Allowed-Rate", "*")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deliver takes one delivery: proof first, then what is in it. Without a key, or a
// signature of the right shape, strangers are sent away before the body is read, and
// without proof nobody gets memory that those with proof need.
func (a *api) deliver(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) error {
	opened, err := a.Hooks.Admit(req.Context(), h, d)
	switch {
	case err == nil && !h.IsForm():
		return a.deliverProven(w, req, opened, d)
	case err == nil, d.Signed() && !h.IsForm() && problem.Is(err, problem.Unauthenticated):
		return a.deliverUnproven(w, req, h, d)
	}
	return err
}

func (a *api) deliverProven(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) error {
	body, release, err := a.hookBody(w, req, h.Policy.Caller)
	if err != nil {
		return err
	}
	defer release()
	more, err := a.Admission.take(h.Policy.Caller, hookMemoryFactor*int64(len(body)))
	if err != nil {
		return err
	}
	defer more()
	d.Body, d.At = body, a.Now()
	return a.take(w, req, h, d)
}

// deliverUnproven takes what is signed, or what a person sends by a form.
func (a *api) deliverUnproven(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) (err error) {
	if h.IsForm() {
		if err := a.rates.Count(h, clientAddress(req.Header), a.Now()); err != nil {
			return err
		}
	}
	var leave func()
	if d.Pieces, leave, err = a.gather(w, req, h.Name); err != nil {
		return err
	}
	defer func() { leave() }()
	d.At = a.Now()
	room, who := a.Admission.takeForForm, h.Name
	if !h.IsForm() {
		if h, err = a.Hooks.Prove(req.Context(), h, d); err != nil {
			return err
		}
		room, who = a.Admission.take, h.Policy.Caller
	}
	var size int64
	for _, piece := range d.Pieces {
		size += int64(len(piece))
	}
	release, err := room(who, (1+hookMemoryFactor)*size)
	if err != nil {
		return err
	}
	defer release()
	d.Body, d.Pieces = joined(d.Pieces), nil
	leave()
	leave = func() {} // what it had is accounted for by room
	return a.take(w, req, h, d)
}

// take makes messages of a delivery that has proved itself.
func (a *api) take(w http.ResponseWriter, req *http.Request, h hook.Hook, d hook.Delivery) (err error) {
	a.Hooks.Used(req.Context(), h, d)
	if code, asked := h.Validation(req.Context(), d); asked {
		writeJSON(w, http.StatusOK, "application/json", map[string]string{"validationResponse": code})
		return nil
	}
	var form hook.Submission
	if h.IsForm() {
		if form, err = h.Submission(req.Context(), d); err != nil || form.Robot {
			return orThank(w, req, form, err)
		}
	}
	messages, err := h.Messages(req.Context(), d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	c, err := a.Callers.Named(ctx, h.Policy.Caller)
	if err != nil {
		return forSender(err)
	}
	told, err := a.sendAll(req.Context(), h, c.ByHook(h.Pause), messages)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(told.Messages, func(m deliveredMessage) bool { return m.Sandbox }) {
		w.Header().Set(sandboxHeader, "true")
	}
	if h.IsForm() {
		return orThank(w, req, form, nil)
	}
	writeJSON(w, http.StatusAccepted, "application/json", told)
	return nil
}

// hookBody reads the whole delivery of a sender with a key.
func (a *api) hookBody(w http.ResponseWriter, req *http.Request, who string) (body []byte, release func(), err error) {
	if err := deliverable(req); err != nil {
		return nil, nil, err
	}
	bytes := req.ContentLength
	if bytes < 0 {
		bytes = hook.MaxBodyBytes
	}
	if release, err = a.Admission.take(who, bytes); err != nil {
		return nil, nil, err
	}
	if body, err = io.ReadAll(a.steady(w, req, hook.MaxBodyBytes)); err == nil {
		return body, release, nil
	}
	release()
	if tooLarge(err) {
		err = largeDelivery()
	}
	return nil, nil, err
}

// deliveryAnswer says what became of each message of a delivery.
type deliveryAnswer struct {
	Messages []deliveredMessage `json:"messages"`
}

type deliveredMessage struct {
	ID       string       `json:"id,omitempty"`
	State    record.State `json:"state,omitempty"`
	Replayed bool         `json:"replayed,omitempty"`
	Sandbox  bool         `json:"sandbox,omitempty"` // it was checked, and not sent
	// Fallback says that the hook's template failed and the payload went as it came.
	Fallback bool   `json:"fallback,omitempty"`
	Error    string `json:"error,omitempty"` // of one that can never be sent
}

// sendAll gives all messages to the gateway. One that can be sent later makes the
// sender come again, and what was taken is then known by its operation id. One that
// can never be sent holds up none of the others.
func (a *api) sendAll(ctx context.Context, h hook.Hook, c caller.Caller, messages []hook.Message) (deliveryAnswer, error) {
	told := deliveryAnswer{Messages: []deliveredMessage{}}
	var refused error
	taken := 0
	for _, m := range messages {
		if m.TemplateError != nil {
			a.Log.WarnContext(ctx, "template of a hook failed", "hook", h.Name, "error", m.TemplateError)
		}
		one, err := a.sendHooked(ctx, h, c, m)
		switch {
		case err == nil:
			taken++
		case problem.Is(err, problem.InvalidMessage), problem.Is(err, problem.TooLarge):
			refused = err
			one.Error = problem.Of(err).Detail
		default:
			return deliveryAnswer{}, err
		}
		told.Messages = append(told.Messages, one)
	}
	if taken == 0 && refused != nil {
		return deliveryAnswer{}, refused
	}
	return told, nil
}

func (a *api) sendHooked(ctx context.Context, h hook.Hook, c caller.Caller, m hook.Message) (deliveredMessage, error) {
	if m.Refused != nil {
		return deliveredMessage{}, m.Refused
	}
	text, err := json.Marshal(m.Message)
	if err != nil {
		return deliveredMessage{}, err
	}
	answer, err := a.Gateway.Send(ctx, gateway.Request{
		Caller: c, Hook: h.Name, Form: formOf(h), Body: bytes.NewReader(text), BodyBytes: int64(len(text)), ContentType: "application/json",
		OperationID: m.OperationID, Language: a.Language,
	})
	if problem.Is(err, problem.KeyReused) {
		return a.sameDelivery(ctx, c, m)
	}
	if h.IsForm() && problem.Is(err, problem.TooManyQueued) {
		return deliveredMessage{}, err // a person reads it, or a script of the site
	}
	if err != nil {
		return deliveredMessage{}, forSender(err)
	}
	return deliveredMessage{ID: answer.Record.ID, State: answer.Record.State, Replayed: answer.Replayed, Sandbox: answer.Record.Sandbox, Fallback: m.TemplateError != nil}, nil
}

// sameDelivery answers a delivery that came before and read differently then: its
// template was changed, or the sender counts its attempts. What was sent was sent.
func (a *api) sameDelivery(ctx context.Context, c caller.Caller, m hook.Message) (deliveredMessage, error) {
	found, err := a.Gateway.Find(ctx, c, m.OperationID)
	if err != nil {
		return deliveredMessage{}, forSender(err)
	}
	if found.UnderWay() {
		return deliveredMessage{}, forSender(record.InProgress())
	}
	return deliveredMessage{ID: found.ID, State: found.State, Replayed: true, Sandbox: found.Sandbox}, nil
}

// forSender turns what the gateway says into what makes a sender do right. Some of
// them drop an alert for good at 429 (Alertmanager) or 500 (Azure Monitor), and at
// 401 and 403 (Event Grid); all repeat after 503. So whatever may go later, when
// there is room or the operator has corrected the policy, is 503; and what can
// never go is 400, which Event Grid does not repeat for a day.
func forSender(err error) error {
	p := understand(err)
	switch p.Kind {
	case problem.InvalidMessage, problem.TooLarge, problem.Paused:
		return err
	case problem.RefusedByACS:
		never := problem.New(problem.InvalidMessage, "%s", p.Detail)
		never.Upstream = p.Upstream
		return never
	}
	return unavailableNow(p)
}

// unavailableNow says that a message may be sent later, and not why not now.
func unavailableNow(err error) error {
	later := problem.Of(problem.Wrap(problem.Unavailable, "The message cannot be sent now. Deliver it again after Retry-After.", errors.New(err.Error())))
	later.RetryAfter = problem.Of(err).RetryAfter
	return later
}
