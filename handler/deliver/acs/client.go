package acs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/google/uuid"
)

// The api-versions that this package was written against.
const (
	APIVersion20230331 = "2023-03-31" // without Attachment.ContentID
	APIVersion20250901 = "2025-09-01" // the default
	// APIVersion20250115Preview is APIVersion20250901 with Message.SenderDisplayName.
	APIVersion20250115Preview = "2025-01-15-preview"
)

// DefaultScope is the scope that Microsoft's own SDKs use. The double slash is meant: the
// audience of the token is "https://communication.azure.com/".
const DefaultScope = "https://communication.azure.com//.default"

const (
	module  = "acs"
	version = "v0.1.0"
)

// ClientOptions may be nil, and every field may be left out.
//
// Of azcore's options these mean something else here: APIVersion is
// APIVersion20250901 by default; Retry and Logging.IncludeBody are ignored,
// there are no retries and no bodies in logs. InsecureAllowCredentialWithHTTP
// is needed for a plain http endpoint, except with a key on a loopback address.
type ClientOptions struct {
	azcore.ClientOptions

	// Scope of the token, for sovereign clouds: DefaultScope by default.
	Scope string
	// MaxConns bounds the connections of this client: DefaultMaxConns by
	// default. It has no effect if Transport is set.
	MaxConns int
	// AnswerTimeout is how long to wait for an answer once the request is
	// written: DefaultAnswerTimeout by default. It has no effect if Transport
	// is set. What else a call may take is bounded by its context.
	AnswerTimeout time.Duration
	// Now dates signatures, and is used against a Retry-After date in an answer
	// that has no Date: time.Now by default.
	Now func() time.Time
}

// Client sends messages and asks what became of them. It is safe for concurrent
// use, and meant to be kept: it holds the connections.
type Client struct {
	pipeline *azcore.Client
	endpoint string // without a slash at its end
	version  string
	now      func() time.Time
	owns     bool // owns its connections, so net/http tells what they send
}

// NewClient returns a client that identifies itself with tokens of cred.
// endpoint is the endpoint of the Communication Services resource.
func NewClient(endpoint string, cred azcore.TokenCredential, o *ClientOptions) (*Client, error) {
	if cred == nil {
		return nil, errors.New("acs: no credential")
	}
	own := o.withDefaults()
	auth := runtime.NewBearerTokenPolicy(credential{cred}, []string{own.Scope}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: own.InsecureAllowCredentialWithHTTP,
	})
	return newClient(endpoint, auth, own, own.InsecureAllowCredentialWithHTTP)
}

// NewClientWithKey returns a client that signs its requests with an access key,
// which is Base64 as the portal shows it.
func NewClientWithKey(endpoint, accessKey string, o *ClientOptions) (*Client, error) {
	own := o.withDefaults()
	auth, err := newSigner(accessKey, own.Now)
	if err != nil {
		return nil, err
	}
	return newClient(endpoint, auth, own, own.InsecureAllowCredentialWithHTTP || isLoopback(endpoint))
}

// NewClientFromConnectionString takes endpoint and key from the form
// "endpoint=https://…/;accesskey=…".
func NewClientFromConnectionString(connection string, o *ClientOptions) (*Client, error) {
	var endpoint, accessKey string
	for _, pair := range strings.Split(connection, ";") {
		switch name, value, _ := strings.Cut(pair, "="); strings.ToLower(strings.TrimSpace(name)) {
		case "endpoint":
			endpoint = strings.TrimSpace(value)
		case "accesskey":
			accessKey = strings.TrimSpace(value)
		}
	}
	if endpoint == "" || accessKey == "" {
		return nil, errors.New("acs: the connection string has no endpoint or no accesskey")
	}
	return NewClientWithKey(endpoint, accessKey, o)
}

func (o *ClientOptions) withDefaults() ClientOptions {
	var own ClientOptions
	if o != nil {
		own = *o
	}
	own.APIVersion, own.Scope = cmp.Or(own.APIVersion, APIVersion20250901), cmp.Or(own.Scope, DefaultScope)
	if own.MaxConns <= 0 {
		own.MaxConns = DefaultMaxConns
	}
	if own.AnswerTimeout <= 0 {
		own.AnswerTimeout = DefaultAnswerTimeout
	}
	if own.Now == nil {
		own.Now = time.Now
	}
	if own.Transport == nil {
		own.Transport = newConnections(own.MaxConns, own.AnswerTimeout)
	}
	return own
}

func newClient(endpoint string, auth policy.Policy, o ClientOptions, allowHTTP bool) (*Client, error) {
	base, err := cleanEndpoint(endpoint, allowHTTP)
	if err != nil {
		return nil, err
	}
	c := &Client{endpoint: base, version: o.APIVersion, now: o.Now}
	_, c.owns = o.Transport.(connections)
	o.APIVersion = "" // else azcore would set it again
	o.Logging.IncludeBody = false
	o.Transport = newTransport(o.Transport)
	c.pipeline, err = azcore.NewClient(module, version, runtime.PipelineOptions{
		PerRetry:               []policy.Policy{auth},
		AllowedHeaders:         []string{"Operation-Id", "Ms-Cv", "Mise-Correlation-Id", "X-Azure-Ref", "X-Ms-Error-Code"},
		AllowedQueryParameters: []string{"api-version"},
		Tracing:                runtime.TracingOptions{Namespace: "Microsoft.Communication"},
	}, &o.ClientOptions)
	if err != nil {
		return nil, fmt.Errorf("acs: %w", err)
	}
	return c, nil
}

// cleanEndpoint takes off what would make the path that is signed another one
// than the path that the service sees: above all a slash at the end.
func cleanEndpoint(endpoint string, allowHTTP bool) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("acs: the endpoint must be a URL such as https://name.region.communication.azure.com")
	case u.Scheme == "http" && !allowHTTP:
		return "", errors.New("acs: the endpoint is plain http")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("acs: the endpoint must begin with https://")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

const (
	methodSend   = "send"
	methodStatus = "status"
)

// isUUID is what the specification says of Operation-Id. It also keeps an id from
// changing the path of a status request.
func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// Send hands m to the service, once, under an operation id of the caller's own
// choice, a UUID. Store the id first: after a lost answer it is the only way to
// learn what happened. A nil error means that the service has taken the message,
// not that it was delivered. Every error is an *Error.
func (c *Client) Send(ctx context.Context, operationID string, m *Message) (_ Operation, err error) {
	if err := c.check(operationID, m); err != nil {
		return Operation{}, &Error{method: methodSend, Accepted: NotAccepted, cause: causeRequest, inner: err}
	}
	ctx, end := runtime.StartSpan(ctx, "Client.Send", c.pipeline.Tracer(), nil)
	defer func() { end(err) }()

	content := newBody(m)
	if c.owns && content.size <= wholeBytes {
		content.encodeWhole()
	}
	ctx = context.WithValue(ctx, bodyKey{}, content)
	answer, err := c.do(ctx, http.MethodPost, "/emails:send", func(req *policy.Request) error {
		req.Raw().Header.Set("Operation-Id", operationID)
		if err := req.SetBody(content, "application/json"); err != nil {
			return err
		}
		req.Raw().GetBody = content.again
		return nil
	})
	wrote := content.taken.Load()
	if answer == nil {
		return Operation{}, lost(methodSend, err, wrote, content.size)
	}
	if answer.status >= 200 && answer.status < 300 {
		return answer.accepted(operationID), nil
	}
	return Operation{}, answer.refused(methodSend, wrote)
}

func (c *Client) check(operationID string, m *Message) error {
	if !isUUID(operationID) {
		return ErrOperationID
	}
	if m == nil {
		return ErrNoMessage
	}
	if m.SenderDisplayName != "" && c.version != APIVersion20250115Preview {
		return ErrSenderName
	}
	if c.version == APIVersion20230331 {
		for _, a := range m.Attachments {
			if a.ContentID != "" {
				return ErrContentID
			}
		}
	}
	return nil
}

// Status asks what became of an operation. The service counts such requests
// against a quota of its own. Every error is an *Error; ErrNotFound is in it if
// the service does not know the operation, or does not know it yet.
func (c *Client) Status(ctx context.Context, operationID string) (_ Operation, err error) {
	if !isUUID(operationID) {
		return Operation{}, &Error{method: methodStatus, cause: causeRequest, inner: ErrOperationID}
	}
	ctx, end := runtime.StartSpan(ctx, "Client.Status", c.pipeline.Tracer(), nil)
	defer func() { end(err) }()

	answer, err := c.do(ctx, http.MethodGet, "/emails/operations/"+operationID, nil)
	if answer == nil {
		return Operation{}, lost(methodStatus, err, 0, 0)
	}
	if answer.status != http.StatusOK {
		return Operation{}, answer.refused(methodStatus, 0)
	}
	return answer.state(operationID)
}

// do returns the answer, if there was one, whatever azcore says beside it: it
// reports the end of the context even when the service has answered by then.
func (c *Client) do(ctx context.Context, method, path string, prepare func(*policy.Request) error) (*answer, error) {
	// By the context because azcore lets a context override the client's options.
	ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
	req, err := runtime.NewRequest(ctx, method, c.endpoint+path+"?api-version="+url.QueryEscape(c.version))
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(req) // it is here by then, see transport.Do
	req.Raw().Header.Set("Accept", "application/json")
	if prepare != nil {
		if err := prepare(req); err != nil {
			return nil, err
		}
	}
	resp, err := c.pipeline.Pipeline().Do(req)
	if resp == nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // out of memory
	return &answer{status: resp.StatusCode, header: resp.Header, text: text, came: c.now()}, nil
}
