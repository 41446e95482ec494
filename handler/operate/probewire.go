package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// callTime bounds one call, the upload of 14 MB in it.
const callTime = 3 * time.Minute

// wire makes calls as a probe needs them: nothing is repeated, checked or corrected.
type wire struct {
	client   *http.Client
	azure    *azure.Client
	endpoint string // of ACS, without a slash at its end
	version  string // api-version
	scope    string
}

// acsScope is the scope that Microsoft's own SDKs for ACS use.
const acsScope = "https://communication.azure.com//.default"

func newWire(at cloud) (*wire, error) {
	s := at.at.Settings
	w := &wire{
		azure: at.Client, endpoint: strings.TrimRight(s[acsEndpoint], "/"),
		version: cmp.Or(s[acsVersion], defaultOf(acsVersion)), scope: cmp.Or(s["POSTHORN_ACS_SCOPE"], acsScope),
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if w.endpoint == "" {
		return nil, usageError("the connection has no POSTHORN_ACS_ENDPOINT. Run \"posthorn connect\" again")
	}
	return w, nil
}

// reply is what came back, without the body.
type reply struct {
	status int
	code   string // ACS's own
	window string // "Minute" or "Hour": the limit that a 429 speaks of
	wait   time.Duration
	state  string   // of an operation
	failed string   // the code of a failed operation
	about  []string // what the sentence of a refusal speaks of
	traces []string
	text   []byte // for the caller to read; it is never kept
}

func (r reply) taken() bool { return r.status >= 200 && r.status < 300 }

// String is evidence: status, codes and the headers that Microsoft's support asks for.
func (r reply) String() string {
	words := []string{strconv.Itoa(r.status), r.code, r.state, r.failed}
	if r.window != "" {
		words = append(words, "PerSubscriptionPer"+r.window+"LimitExceeded")
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	said := []string{strings.Join(words, " ")}
	if len(r.about) > 0 {
		said = append(said, "it speaks of "+strings.Join(r.about, " and "))
	}
	return strings.Join(append(said, r.traces...), ", ")
}

var (
	plainForm = regexp.MustCompile(`^[A-Za-z0-9_.+/=:-]{1,120}$`)
	perWindow = regexp.MustCompile(`PerSubscriptionPer(Minute|Hour)LimitExceeded`)
	// spokenOf is all that is kept of ACS's sentences, which may quote addresses.
	spokenOf = regexp.MustCompile(`(?i)\bduplicate|\bmessage-?id\b|\boperation-?id\b|property '[a-z0-9_.\[\]]{1,60}'`)
)

// call makes one request. A token is not sent if the scope is empty.
func (w *wire) call(ctx context.Context, method, address, scope string, header map[string]string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return reply{}, errors.New("the address of a call cannot be read")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	if scope != "" {
		token, err := w.azure.Token(ctx, scope)
		if err != nil {
			return reply{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reply{}, noAnswer(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil && len(text) == 0 {
		return reply{}, noAnswer(ctx, err)
	}
	return readReply(resp, text), nil
}

// noAnswer has none of the words of net/http, which quote the address.
func noAnswer(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return &azure.Error{What: "ask", Kind: azure.Away, Message: "there was no answer in time"}
	}
	return &azure.Error{What: "ask", Kind: azure.Away, Message: "the connection failed before there was an answer"}
}

func readReply(resp *http.Response, text []byte) reply {
	r := reply{status: resp.StatusCode, text: text}
	var said struct {
		Status string `json:"status"`
		Error  *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &said) // an answer of others has none of it
	r.state = plainWord(said.Status)
	if said.Error != nil && r.taken() {
		r.failed = plainWord(said.Error.Code)
	} else if said.Error != nil {
		r.code = plainWord(said.Error.Code)
		if m := perWindow.FindStringSubmatch(said.Error.Message); m != nil {
			r.window = m[1]
		}
		r.about = slices.Compact(spokenOf.FindAllString(said.Error.Message, 4))
	}
	r.code = cmp.Or(r.code, plainWord(resp.Header.Get("X-Ms-Error-Code")))
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		r.wait = time.Duration(min(seconds, 24*3600)) * time.Second
	}
	if r.status == http.StatusTooManyRequests && r.wait == 0 {
		r.wait = time.Minute // it does not say
	}
	for name, values := range resp.Header {
		support := name == "Retry-After" || name == "Ms-Cv" || name == "Mise-Correlation-Id" || name == "X-Azure-Ref" ||
			strings.HasPrefix(name, "X-Ms-") && name != "X-Ms-Error-Code"
		if value := plainWord(values[0]); support && value != "" {
			r.traces = append(r.traces, name+" "+value)
		}
	}
	slices.Sort(r.traces)
	return r
}

// plainWord is a value that can be kept: no address, no sentence.
func plainWord(s string) string {
	if plainForm.MatchString(s) {
		return s
	}
	return ""
}

// send makes one call of emails:send. An operation id may be empty.
func (w *wire) send(ctx context.Context, version, operation string, body []byte) (reply, error) {
	header := map[string]string{"Content-Type": "application/json", "Accept": "application/json"}
	if operation != "" {
		header["Operation-Id"] = operation
	}
	return w.call(ctx, http.MethodPost, w.endpoint+"/emails:send?api-version="+url.QueryEscape(cmp.Or(version, w.version)), w.scope, header, body)
}

// status asks for an operation once.
func (w *wire) status(ctx context.Context, operation string) (reply, error) {
	return w.call(ctx, http.MethodGet, w.endpoint+"/emails/operations/"+url.PathEscape(operation)+"?api-version="+url.QueryEscape(w.version), w.scope, map[string]string{"Accept": "application/json"}, nil)
}

// probeMail is the body of emails:send. Its JSON is the same each time.
type probeMail struct {
	Sender  string `json:"senderAddress"`
	Name    string `json:"senderDisplayName,omitempty"`
	Content struct {
		Subject string `json:"subject"`
		Text    string `json:"plainText"`
	} `json:"content"`
	Recipients struct {
		To  []probeAddress `json:"to"`
		BCC []probeAddress `json:"bcc,omitempty"`
	} `json:"recipients"`
	Headers     map[string]string `json:"headers,omitempty"`
	Attachments []probeFile       `json:"attachments,omitempty"`
}

type probeAddress struct {
	Address string `json:"address"`
}

type probeFile struct {
	Name    string `json:"name"`
	Type    string `json:"contentType"`
	Content []byte `json:"contentInBase64"`
}

// mail is a message of a probe. The first digits of its operation are in the subject,
// for people to find it.
func (a *probeRun) mail(id, operation string, to ...string) probeMail {
	m := probeMail{Sender: a.sender}
	m.Content.Subject = fmt.Sprintf("Posthorn probe %s %.8s", id, operation)
	m.Content.Text = "This mail answers a question about Azure Communication Services. Nothing has to be done.\n"
	m.Recipients.To = []probeAddress{}
	for _, address := range to {
		m.Recipients.To = append(m.Recipients.To, probeAddress{address})
	}
	return m
}

func (m probeMail) json() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // it is made of types that always encode
	}
	return text
}
