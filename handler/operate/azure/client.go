// Package azure asks Azure Resource Manager (ARM) for what an operator wants: domains,
// senders, links, settings, roles, figures. In: resource ids and names. Out: values of
// this package, or an *Error that says what was being done, what Azure said, and which
// kind of fault it is. It keeps no state: all of it is Azure's.
//
// Long-running operations are waited for; 429 and 5xx are repeated as Retry-After says.
// Shapes: github.com/Azure/azure-rest-api-specs, specification/communication/
// resource-manager, version 2026-03-18, and the specifications of the other providers.
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Versions of the providers' interfaces.
const (
	versionCommunication = "2026-03-18"
	versionResources     = "2025-04-01"
	versionSubscriptions = "2022-12-01"
	versionWeb           = "2024-11-01"
	versionStorage       = "2024-01-01"
	versionVault         = "2023-07-01"
	versionVaultData     = "7.4"
	versionInsights      = "2020-02-02"
	versionEventGrid     = "2025-02-15"
	versionAuthorization = "2022-04-01"
)

// Options are what a Client needs. Only Credential has no default.
type Options struct {
	Credential azcore.TokenCredential
	Cloud      cloud.Configuration // zero: the public cloud
	Transport  policy.Transporter  // nil: the SDK's own
	Retry      policy.RetryOptions // zero: three retries, as Retry-After says
	// PollEvery is how often a long-running operation is asked for where Azure does not
	// say it; zero is five seconds.
	PollEvery time.Duration
	// Patience is how long the end of such an operation is waited for; zero is 15 minutes.
	Patience time.Duration
}

// Client asks ARM with the rights of one credential. It may be used at once by several.
type Client struct {
	arm        *arm.Client
	graph      graph
	credential azcore.TokenCredential
	cloud      cloud.Configuration
	options    policy.ClientOptions
	pollEvery  time.Duration
	patience   time.Duration
}

// New builds a client. It makes no request.
func New(o Options) (*Client, error) {
	if o.PollEvery == 0 {
		o.PollEvery = 5 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Minute
	}
	options := policy.ClientOptions{Cloud: o.Cloud, Transport: o.Transport, Retry: o.Retry}
	options.Telemetry.ApplicationID = "posthorn"
	// An operator's commands register no provider: the deployment has done so.
	armOptions := arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true}
	armOptions.PerCallPolicies = []policy.Policy{homeOnly{endpointOf(o.Cloud)}}
	client, err := arm.NewClient("posthorn", "v0.0.0", o.Credential, &armOptions)
	if err != nil {
		return nil, fmt.Errorf("build a client of Azure Resource Manager: %w", err)
	}
	return &Client{arm: client, graph: newGraph(o, options), credential: o.Credential, cloud: o.Cloud, options: options, pollEvery: o.PollEvery, patience: o.Patience}, nil
}

// Default is a client with the first login that is found: variables of the environment,
// a workload or managed identity, the Azure CLI, azd. The cloud is the public one.
func Default() (*Client, error) {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, failure("find a login of Azure", "", err)
	}
	return New(Options{Credential: credential})
}

// request is one call. What says what it is for, as the end of "could not …".
type request struct {
	what    string
	method  string
	path    string // below the endpoint; or a whole URL, as in nextLink
	version string
	query   map[string]string
	body    any    // nil: none
	ifMatch string // empty: none
}

// call makes a request, waits for the end of what it begins, and reads the answer into
// out, unless out is nil. It gives the answer's headers.
func (c *Client) call(ctx context.Context, r request, out any) (http.Header, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.method != http.MethodGet && runtime.HasStatusCode(resp, http.StatusCreated, http.StatusAccepted) && begins(resp) {
		return resp.Header, c.wait(ctx, r.what, resp, out)
	}
	if out == nil {
		return resp.Header, resp.Body.Close()
	}
	text, err := runtime.Payload(resp)
	if err == nil && len(text) == 0 {
		err = errors.New("it is empty") // the SDK takes that for a resource without members
	}
	if err == nil {
		err = runtime.UnmarshalAsJSON(resp, out)
	}
	if err != nil {
		return nil, &Error{What: r.what, Kind: Refused, Message: "the answer of Azure could not be read: " + err.Error()}
	}
	return resp.Header, nil
}

// begins tells whether an answer names an operation that goes on.
func begins(resp *http.Response) bool {
	return resp.Header.Get("Azure-AsyncOperation") != "" || resp.Header.Get("Location") != ""
}

func (c *Client) wait(ctx context.Context, what string, resp *http.Response, out any) error {
	var raw map[string]any
	if out == nil {
		out = &raw
	}
	poller, err := runtime.NewPoller[any](resp, c.arm.Pipeline(), &runtime.NewPollerOptions[any]{Response: &out})
	if err != nil {
		return failure(what, "", err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	_, err = poller.PollUntilDone(bounded, &runtime.PollUntilDoneOptions{Frequency: c.pollEvery})
	switch {
	case err == nil:
		return nil
	case bounded.Err() != nil && ctx.Err() == nil:
		return &Error{What: what, Kind: Away, Message: "it has not ended within " + c.patience.String()}
	}
	return failure(what, resp.Request.URL.Path, err)
}

func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	url := r.path
	if len(url) == 0 || url[0] == '/' {
		url = runtime.JoinPaths(c.arm.Endpoint(), r.path)
	}
	req, err := runtime.NewRequest(ctx, r.method, url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.what, err)
	}
	if q := req.Raw().URL.Query(); r.version != "" {
		q.Set("api-version", r.version)
		for name, value := range r.query {
			q.Set(name, value)
		}
		req.Raw().URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // as the SDKs write a blank
	}
	req.Raw().Header.Set("Accept", "application/json")
	if r.ifMatch != "" {
		req.Raw().Header.Set("If-Match", r.ifMatch)
	}
	if r.body != nil {
		if err := runtime.MarshalAsJSON(req, r.body); err != nil {
			return nil, fmt.Errorf("%s: %w", r.what, err)
		}
	}
	return do(c.arm.Pipeline(), r.what, req)
}

// do makes a request, and an *Error of an answer that is none.
func do(p runtime.Pipeline, what string, req *policy.Request) (*http.Response, error) {
	resp, err := p.Do(req)
	if err == nil && !runtime.HasStatusCode(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent) {
		err = runtime.NewResponseError(resp)
	}
	if err != nil {
		return nil, failure(what, req.Raw().URL.Path, err)
	}
	return resp, nil
}

// mostPages bounds a list that never ends.
const mostPages = 1000

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, r request) ([]T, error) {
	r.method = http.MethodGet
	var all []T
	for range mostPages {
		var page struct {
			Value    []T    `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if _, err := c.call(ctx, r, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if page.NextLink == "" {
			return all, nil
		}
		r.path, r.version, r.query = page.NextLink, "", nil
	}
	return nil, &Error{What: r.what, Kind: Refused, Message: "the list of Azure has no end"}
}

// Token is one for the operator, as its raw text, for scopes such as
// https://management.azure.com/.default.
func (c *Client) Token(ctx context.Context, scope string) (string, error) {
	token, err := c.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return "", failure("get a token for "+scope, "", err)
	}
	return token.Token, nil
}

// IsKind tells whether err is a fault of a kind.
func IsKind(err error, k Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == k
}
