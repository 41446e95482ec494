package azure

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// ScopeStorage is the scope of tokens for the data of storage accounts.
const ScopeStorage = "https://storage.azure.com/.default"

// versionStorageData is of the data of storage.
const versionStorageData = "2024-11-04"

// mostAnswerBytes is what is read of an answer from outside of ARM.
const mostAnswerBytes = 64 << 10

// Answer is what an address outside of ARM says.
type Answer struct {
	Status int
	Body   []byte // at most 64 KiB
}

// Get asks an address that is not the Resource Manager's: with a token for scope or,
// if that is empty, as a stranger. Every status is an answer. No answer is an *Error.
func (c *Client) Get(ctx context.Context, address, scope string) (Answer, error) {
	resp, err := c.outside(ctx, address, scope)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the address is told already
	}
	if err != nil {
		return Answer{}, failure("get "+address, "", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswerBytes))
	if err != nil {
		return Answer{}, failure("get "+address, "", err)
	}
	return Answer{resp.StatusCode, text}, nil
}

// outside tries once more only: its caller asks many questions.
func (c *Client) outside(ctx context.Context, address, scope string) (*http.Response, error) {
	req, err := runtime.NewRequest(ctx, http.MethodGet, address)
	if err != nil {
		return nil, err
	}
	req.Raw().Header.Set("Accept", "application/json")
	o, policies := c.options, runtime.PipelineOptions{}
	o.Retry.MaxRetries = 1
	if scope != "" {
		policies.PerRetry = []policy.Policy{runtime.NewBearerTokenPolicy(c.credential, []string{scope}, nil)}
	}
	if scope == ScopeStorage {
		req.Raw().Header.Set("X-Ms-Version", versionStorageData)
	}
	return runtime.NewPipeline("posthorn", "v0.0.0", policies, &o).Do(req)
}

// Secret reads the value of a secret, whose address is https://VAULT/secrets/NAME, with
// or without a version. It sends its token to vaults of Azure alone.
func (c *Client) Secret(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	vault, domain := "", ""
	if err == nil {
		vault, domain, _ = strings.Cut(u.Hostname(), ".")
	}
	what := "read the secret " + address
	name := ""
	if err == nil {
		name, _, _ = strings.Cut(strings.TrimPrefix(u.Path, "/secrets/"), "/")
	}
	if err != nil || u.Scheme != "https" || !vaultDomain(domain) || !vaultName.MatchString(vault) || !vaultName.MatchString(name) {
		return "", &Error{What: what, Kind: Refused, Message: "it is not in a Key Vault"}
	}
	u.RawQuery = "api-version=" + versionVaultData
	answer, err := c.Get(ctx, u.String(), "https://"+domain+"/.default")
	if e, ok := errors.AsType[*Error](err); ok {
		e.What = what
	}
	if err != nil {
		return "", err
	}
	var body struct {
		Value string `json:"value"`
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	unreadable := json.Unmarshal(answer.Body, &body)
	switch {
	case answer.Status != http.StatusOK:
		e := &Error{What: what, Kind: kindOf(answer.Status), Status: answer.Status, Code: body.Error.Code, Message: body.Error.Message}
		e.ofVault(vault, name)
		return "", e
	case unreadable != nil || body.Value == "":
		return "", &Error{What: what, Kind: Refused, Message: "the vault gave no value"}
	}
	return body.Value, nil
}

// vaultDomain is of the clouds that there are.
// Source: learn.microsoft.com, "Azure Key Vault keys, secrets and certificates overview".
func vaultDomain(domain string) bool {
	switch domain {
	case "vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net":
		return true
	}
	return false
}

// vaultName is what the names of vaults and secrets are made of. They come into lines
// that people paste.
// Source: learn.microsoft.com, "Naming rules and restrictions for Azure resources".
var vaultName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// ofVault says which right is missing: the vault's own sentence has it in other words
// than ARM's. A network that the vault does not take is no missing right.
func (e *Error) ofVault(vault, name string) {
	if e.Kind != Forbidden {
		return
	}
	if strings.Contains(e.Message, "trusted service") || strings.Contains(e.Message, "ublic network access is disabled") {
		e.Kind, e.Message = Refused, "the vault takes no requests from this network"
		return
	}
	e.Action, e.Scope = "Microsoft.KeyVault/vaults/secrets/getSecret/action", quoted(e.Message, "Resource: '")
	if e.Scope == "" {
		e.Vault, e.Secret = vault, name
	}
}
