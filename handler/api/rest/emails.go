package rest

import (
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// apiVersions are those that Microsoft has published for ACS Email.
var apiVersions = []string{
	"2021-10-01-preview", "2023-01-15-preview", "2023-03-31", "2024-07-01-preview",
	"2025-01-01-preview", "2025-01-15-preview", "2025-09-01",
}

// operation is an operation in ACS's form. ACS has no words for what is in Delivery.
type operation struct {
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Error    *acsError `json:"error"`
	Delivery delivery  `json:"delivery"`
}

type delivery struct {
	State record.State `json:"state"`
	// Resolving says of the state unknown that ACS is still being asked.
	Resolving bool `json:"resolving,omitempty"`
	// Sandbox says that the message was checked and not sent, Redirected that it goes to
	// its caller's one mailbox for tests: the operator has decided so.
	Sandbox    bool      `json:"sandbox,omitempty"`
	Redirected bool      `json:"redirected,omitempty"`
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
	// Expected is when a queued message will probably be sent, Deadline the last moment at
	// which it may.
	Expected time.Time  `json:"expected,omitzero"`
	Deadline time.Time  `json:"deadline,omitzero"`
	Links    []link     `json:"links,omitempty"`
	Tags     []mail.Tag `json:"tags,omitempty"`
}

// link tells the caller of an attachment that was moved. Its address is a secret
// of the recipients and is not told.
type link struct {
	Attachment int       `json:"attachment"`
	Name       string    `json:"name"`
	Size       int64     `json:"size"`
	Expires    time.Time `json:"expires"`
	Downloads  int64     `json:"downloads"`
	Revoked    bool      `json:"revoked"`
}

func (a *api) send(w http.ResponseWriter, req *http.Request) error {
	version, err := apiVersion(req)
	if err != nil {
		return err
	}
	proof, err := a.authenticate(w, req)
	if err != nil {
		return err
	}
	if err := unencoded(req); err != nil {
		return err
	}
	contentType, err := messageType(req)
	if err != nil {
		return err
	}
	message := gateway.Request{
		Caller: proof.Caller, BodySHA256: proof.BodySHA256,
		ContentType: contentType, BodyBytes: jsonBytes(contentType, req.ContentLength),
	}
	if message.Language, err = contentLanguage(req); err != nil {
		return err
	}
	if message.OperationID, message.IdempotencyKey, err = names(req.Header); err != nil {
		return err
	}
	body, release, err := a.admit(w, req, proof.Caller, message.BodyBytes, a.limit(proof.Caller))
	if err != nil {
		return err
	}
	defer release()
	message.Body = body

	answer, err := a.Gateway.Send(req.Context(), message)
	countedIn(w, answer.Domain)
	if answer.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Operation-Location", a.operations+answer.Record.ID+"?api-version="+version)
	w.Header().Set("Location", a.resultURL(answer.Record.ID))
	markSandbox(w, answer.Record)
	sent := gateway.Found{Record: answer.Record}
	w.Header().Set("Retry-After", a.askAgain(sent))
	o := describe(sent)
	// ACS's own answer to a POST is always Running, and its clients poll then.
	o.Status, o.Error = "Running", nil
	writeJSON(w, http.StatusAccepted, "application/json", o)
	return nil
}

// limit is how large a body of this caller may be.
func (a *api) limit(c caller.Caller) int64 {
	if own := c.Policy.MaxRequestBytes; own > 0 && own < a.MaxRequestBytes {
		return own
	}
	return a.MaxRequestBytes
}

// admit finds room for a caller's body of so many bytes as JSON (-1: not known), and bounds
// its length and its patience. release gives the room back. The caller has proved who it is,
// also where it signs: the hash of the body is under its signature.
func (a *api) admit(w http.ResponseWriter, req *http.Request, c caller.Caller, bytes, limit int64) (body io.Reader, release func(), err error) {
	if req.ContentLength > limit {
		return nil, nil, problem.New(problem.TooLarge, "The body is larger than the %d bytes that this caller may send. Upload large files by POST /attachments, and send the message by POST /emails:send.", limit)
	}
	body = a.steady(w, req, limit)
	need := a.Memory(bytes)
	if bytes >= 0 {
		release, err = a.Admission.take(c.Name, need)
		return body, release, err
	}
	first, err := a.Admission.take(c.Name, SmallBytes)
	if err != nil {
		return nil, nil, err
	}
	growing := &growingBody{body: body, grow: func() (func(), error) { return a.Admission.take(c.Name, need) }}
	return growing, func() { growing.close(); first() }, nil
}

// withVersion refuses an api-version that ACS never had.
func withVersion(serve handle) handle {
	return func(a *api, w http.ResponseWriter, req *http.Request) error {
		if _, err := apiVersion(req); err != nil {
			return err
		}
		return serve(a, w, req)
	}
}

// withMessage tells a route of one message who asks, and the id of the message.
func withMessage(serve func(a *api, w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error) handle {
	return func(a *api, w http.ResponseWriter, req *http.Request) error {
		proof, err := a.authenticate(w, req)
		if err != nil {
			return err
		}
		id, ok := parseUUID(req.PathValue("id"))
		if !ok {
			return problem.New(problem.NotFound, "This caller has no message with that id.")
		}
		return serve(a, w, req, proof.Caller, id)
	}
}

// operation tells the state of a message, or cancels a queued one.
func (a *api) operation(w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error {
	act := a.Gateway.Find
	if req.Method == http.MethodDelete {
		act = a.Gateway.Cancel
	}
	found, err := act(req.Context(), c, id)
	if err != nil {
		return err
	}
	markSandbox(w, found.Record)
	o := describe(found)
	if o.Status == "Running" {
		w.Header().Set("Retry-After", a.askAgain(found))
	}
	writeJSON(w, http.StatusOK, "application/json", o)
	return nil
}

// longestAsk is the longest that a caller is told to wait before it asks again for a queued
// message: its time may come earlier than expected.
const longestAsk = 5 * time.Minute

// askAgain is when a status is worth asking for again, in seconds.
func (a *api) askAgain(r gateway.Found) string {
	wait := time.Second
	switch {
	case r.Again > 0:
		wait = r.Again
	case r.State == record.Waiting:
		wait = min(max(r.Expected.Sub(a.Now()), wait), longestAsk)
	case r.State == record.Accepted || r.State == record.Sending:
		wait = gateway.FirstAsk
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}

// describe puts a record into ACS's words. ACS has none for "unknown": a client
// that waits must be told an end, and the error says what is known.
func describe(r gateway.Found) operation {
	o := operation{ID: r.ID, Delivery: delivery{
		State: r.State, Resolving: r.Resolving, Sandbox: r.Sandbox, Redirected: r.Redirected, Created: r.Created, Updated: r.Updated, Tags: r.Tags,
	}}
	if r.State == record.Waiting {
		o.Delivery.Expected, o.Delivery.Deadline = r.Expected, r.Deadline
	}
	for _, l := range r.Moved {
		if r.State == record.Failed || r.State == record.Cancelled {
			break // they went with the message
		}
		o.Delivery.Links = append(o.Delivery.Links, link{l.Index, l.Name, l.Size, l.Expires, r.Downloads[l.Index], r.Revoked})
	}
	switch r.State {
	case record.Accepted:
		if o.Status = "Succeeded"; r.Again > 0 {
			o.Status = "Running"
		}
	case record.Failed:
		o.Status = "Failed"
		if fail := r.Failure; fail != nil {
			o.Error = &acsError{acsCode(&problem.Problem{Kind: problem.KindOf(fail.Kind), Upstream: fail.Upstream}), fail.Detail}
		}
	case record.Cancelled:
		o.Status = "Canceled"
	case record.Unknown:
		if r.Resolving {
			o.Status = "Running"
			break
		}
		o.Status = "Failed"
		o.Error = &acsError{"OutcomeUnknown", "ACS gave no clear answer, so the message may or may not have been sent. Ask a recipient before sending it again."}
		if r.Repeatable {
			o.Error.Message = "The process that sent the message ended, and ACS does not know the message. Send it again with the same Idempotency-Key or Operation-Id: ACS is asked first."
		}
	default:
		o.Status = "Running"
	}
	return o
}

// authenticate finds the caller and lets every answer to it carry the quota. The
// Functions host sends 127.0.0.1:PORT as Host, and the name that the caller used as
// X-Forwarded-Host. Who could forge that header could forge Host too.
func (a *api) authenticate(w http.ResponseWriter, req *http.Request) (caller.Proof, error) {
	proof, err := a.Callers.Authenticate(req.Context(), caller.Request{
		Method: req.Method, Target: req.RequestURI, Header: req.Header,
		Hosts: []string{req.Header.Get("X-Forwarded-Host"), req.Host, a.Public.Host},
	})
	if err == nil {
		if out, ok := w.(*recorder); ok {
			out.domain, _ = a.Gateway.DomainsOf(proof.Caller)
			out.last = a.rateLimit
			if out.dialect != nil && out.dialect.limits != nil {
				out.last = func(out *recorder) { a.rateLimit(out); out.dialect.limits(a, out) }
			}
		}
		if req.ContentLength == 0 && proof.BodySHA256 != nil && !emptyHash(proof.BodySHA256) {
			return caller.Proof{}, problem.New(problem.Unauthenticated, "The signed hash is not the hash of an empty body.")
		}
	}
	return proof, err
}

// rateLimit tells the sending quota as draft-ietf-httpapi-ratelimit-headers does,
// and as it is when the answer goes.
func (a *api) rateLimit(out *recorder) {
	limit, policy := a.Gateway.Quota(out.domain).Headers()
	out.Header().Set("Ratelimit-Policy", policy) // in net/http's spelling, which spares a copy
	if limit != "" {
		out.Header().Set("Ratelimit", limit)
	}
}

// countedIn lets the answer tell the quota in which a message was counted. Without it the
// answer tells the quota of custom domains to a caller that sends from both kinds.
func countedIn(w http.ResponseWriter, domain mail.DomainKind) {
	if out, ok := w.(*recorder); ok && domain == mail.ManagedDomain {
		out.domain = domain
	}
}

var keyPattern = regexp.MustCompile(`^[!-~](?:[ -~]{0,253}[!-~])?$`)

// parseUUID returns a UUID in lower case, as records have it.
func parseUUID(s string) (id string, ok bool) {
	u, err := uuid.Parse(s)
	return u.String(), err == nil && len(s) == 36 // not a form with braces or a prefix
}

// names reads the two headers that make a repeat harmless. Operation-Id is
// ACS's; Idempotency-Key is the IETF draft's, whose quotes most clients leave out.
func names(h http.Header) (operationID, key string, err error) {
	operationID, key = h.Get("Operation-Id"), h.Get("Idempotency-Key")
	switch {
	case len(h.Values("Operation-Id")) > 1 || len(h.Values("Idempotency-Key")) > 1:
		return "", "", problem.New(problem.InvalidRequest, "Operation-Id and Idempotency-Key may be sent once each.")
	case operationID != "" && key != "":
		return "", "", problem.New(problem.InvalidRequest, "Send Operation-Id or Idempotency-Key, not both: each names the message.")
	case len(h.Values("Operation-Id")) == 1:
		var ok bool
		if operationID, ok = parseUUID(operationID); !ok {
			return "", "", problem.New(problem.InvalidRequest, "Operation-Id must be a UUID.")
		}
	case len(h.Values("Idempotency-Key")) == 1:
		if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
			key = key[1 : len(key)-1]
		}
		if !keyPattern.MatchString(key) {
			return "", "", problem.New(problem.InvalidRequest, "Idempotency-Key must be 1 to 255 printable ASCII characters.")
		}
	}
	return operationID, key, nil
}

func apiVersion(req *http.Request) (string, error) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", problem.New(problem.InvalidRequest, "The query of the request cannot be read.")
	}
	version := query.Get("api-version")
	if version == "" {
		return apiVersions[len(apiVersions)-1], nil
	}
	if !slices.Contains(apiVersions, version) {
		return "", problem.New(problem.InvalidRequest, "Posthorn does not know this api-version. Leave it out, or send %s.", apiVersions[len(apiVersions)-1])
	}
	return version, nil
}

// unencoded refuses a body that is compressed.
func unencoded(req *http.Request) error {
	if e := req.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return problem.New(problem.UnsupportedMediaType, "This Content-Encoding is not supported. Send the body uncompressed.")
	}
	return nil
}

// messageType is the media type in which a message came, with its parameters.
func messageType(req *http.Request) (string, error) {
	contentType := req.Header.Get("Content-Type")
	media, parameters, err := mime.ParseMediaType(contentType)
	switch charset := strings.ToLower(parameters["charset"]); {
	case err != nil:
	case media == "application/json" && slices.Contains([]string{"", "utf-8", "utf8"}, charset):
		return media, nil
	case media == "multipart/form-data" || media == "multipart/mixed":
		return contentType, nil
	}
	return "", problem.New(problem.UnsupportedMediaType, "The body must be JSON in UTF-8, or multipart/form-data or multipart/mixed with the JSON as its first part. Set Content-Type accordingly.")
}

// jsonBytes is how long a body of so many bytes (-1: not known) would be as JSON:
// files that come as parts still go to ACS in Base64.
func jsonBytes(contentType string, bytes int64) int64 {
	if bytes < 0 || contentType == "application/json" {
		return bytes
	}
	return (bytes + 2) / 3 * 4
}

// contentLanguage is the first language of the header, or "".
func contentLanguage(req *http.Request) (string, error) {
	list := req.Header.Get("Content-Language")
	if list == "" {
		return "", nil
	}
	if err := mail.Languages(list); err != nil {
		return "", problem.New(problem.InvalidRequest, "The header Content-Language cannot be read: %s.", err)
	}
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first), nil
}
