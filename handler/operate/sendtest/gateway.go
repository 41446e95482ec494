package sendtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// apiVersion is what ACS's SDKs of today send.
	apiVersion = "2025-09-01"
	// answerBytes bounds what is read of an answer.
	answerBytes = 1 << 20
	// startTime bounds the first question: a function app that sleeps wakes up in seconds.
	startTime = 45 * time.Second
)

// Gateway is the way through a deployment's HTTP API, as any client goes it.
type Gateway struct {
	base, key string
	client    *http.Client
}

// NewGateway speaks to the deployment at base, an URL, with the key of a caller. The key
// leaves over TLS alone, but to this machine. No redirect is followed.
func NewGateway(base, key string, transport http.RoundTripper) (*Gateway, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("POSTHORN_PUBLIC_URL: is not a URL such as https://mail.example.com")
	}
	if u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() {
		return nil, errors.New("POSTHORN_PUBLIC_URL: must start with https://, or the key could be read on its way")
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Gateway{strings.TrimSuffix(base, "/"), key, &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// Me is what a caller may know of itself.
type Me struct {
	Name   string
	Policy struct{ Senders []string }
}

// Me asks the gateway whose key it is. It sends nothing, and costs no quota.
func (g *Gateway) Me(ctx context.Context) (me Me, err error) {
	bounded, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	a, err := g.do(bounded, http.MethodGet, "/callers/me", "", nil)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return me, &Error{Detail: fmt.Sprintf("%s does not answer within %s.", g.base, startTime), Advice: "Check POSTHORN_PUBLIC_URL, the network, and the state of the function app.", Away: true}
	}
	if err != nil {
		return me, err
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &me) != nil || me.Name == "" {
		return me, a.fault()
	}
	return me, nil
}

// Version is the gateway's; "" if it does not say.
func (g *Gateway) Version(ctx context.Context) string {
	var health struct{ Version string }
	bounded, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	a, err := g.do(bounded, http.MethodGet, "/healthz", "", nil)
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &health) != nil {
		return ""
	}
	return health.Version
}

type address struct {
	Address string `json:"address"`
}

// Send implements Way.
func (g *Gateway) Send(ctx context.Context, id string, m Message) (Status, error) {
	body, err := json.Marshal(map[string]any{
		"senderAddress": m.Sender,
		"recipients":    map[string]any{"to": []address{{m.To}}},
		"content":       map[string]string{"subject": m.Subject, "plainText": m.Text, "html": m.HTML},
	})
	if err != nil {
		return Status{}, err
	}
	a, err := g.do(ctx, http.MethodPost, "/emails:send?api-version="+apiVersion, id, body)
	if err != nil {
		return Status{}, err
	}
	s, err := a.operation(http.StatusAccepted)
	// SDKs follow this address, so it must be the one that works.
	if at, wrong := url.Parse(a.header.Get("Operation-Location")); err == nil && wrong == nil && at.Host != "" && at.Host != a.host {
		s.Note = fmt.Sprintf("the gateway calls itself %s, and clients follow that name: see POSTHORN_PUBLIC_URL in the settings of the function app", at.Host)
	}
	return s, err
}

// Ask implements Way.
func (g *Gateway) Ask(ctx context.Context, id string) (Status, error) {
	a, err := g.do(ctx, http.MethodGet, "/emails/operations/"+id+"?api-version="+apiVersion, "", nil)
	if err != nil {
		if f, ok := errors.AsType[*Error](err); ok {
			f.passing = true
		}
		return Status{}, err
	}
	return a.operation(http.StatusOK)
}

// answer is what came back.
type answer struct {
	host   string // that was asked
	status int
	header http.Header
	body   []byte
}

func (g *Gateway) do(ctx context.Context, method, path, operationID string, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.key)
	req.Header.Set("User-Agent", "posthorn-send-test")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Operation-Id", operationID)
	}
	res, err := g.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreached(req.URL.Host, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerBytes))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreached(req.URL.Host, err)
	}
	return &answer{req.URL.Host, res.StatusCode, res.Header, text}, nil
}

// operation reads ACS's operation, with what Posthorn adds to it.
func (a *answer) operation(want int) (Status, error) {
	var said struct {
		ID, Status string
		Error      *struct{ Code, Message string }
		Delivery   struct {
			State               string
			Sandbox, Redirected bool
			Expected            time.Time
		}
	}
	if a.status != want || json.Unmarshal(a.body, &said) != nil || said.ID == "" || said.Status == "" {
		return Status{}, a.fault()
	}
	d := said.Delivery
	s := Status{Word: said.Status, State: d.State, Expected: d.Expected, Again: a.retryAfter(), Sandbox: d.Sandbox, Redirected: d.Redirected}
	if said.Error != nil {
		s.Code, s.Detail = said.Error.Code, said.Error.Message
	}
	return s, nil
}

func (a *answer) retryAfter() time.Duration {
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
