package azure

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Graph is Microsoft Graph among the services of a cloud.Configuration. Where it is not
// there, Graph is the public cloud's.
const Graph cloud.ServiceName = "microsoftGraph"

// graph is a client of Microsoft Graph, whose tokens are not those of ARM.
type graph struct {
	pipeline runtime.Pipeline
	endpoint string
}

func newGraph(o Options, options policy.ClientOptions) graph {
	at, known := o.Cloud.Services[Graph]
	if !known {
		at = cloud.ServiceConfiguration{Endpoint: "https://graph.microsoft.com", Audience: "https://graph.microsoft.com"}
	}
	token := runtime.NewBearerTokenPolicy(o.Credential, []string{at.Audience + "/.default"}, nil)
	return graph{
		pipeline: runtime.NewPipeline("posthorn", "v0.0.0", runtime.PipelineOptions{PerRetry: []policy.Policy{token}}, &options),
		endpoint: at.Endpoint,
	}
}

// Application is an app registration of Entra ID.
type Application struct {
	Name    string   `json:"displayName"`
	Secrets []Secret `json:"passwordCredentials"`
}

// Secret is what is known of a client secret. Its text is known to nobody.
type Secret struct {
	KeyID string    `json:"keyId"`
	Name  string    `json:"displayName"`
	Start time.Time `json:"startDateTime"`
	End   time.Time `json:"endDateTime"`
}

// Application reads one by its application id. Microsoft Graph wants Application.Read.All
// for it. One of another tenant is NotFound.
// Source: learn.microsoft.com/graph/api/application-get.
func (c *Client) Application(ctx context.Context, applicationID string) (Application, error) {
	what := "read the Entra application " + applicationID
	path := fmt.Sprintf("/v1.0/applications(appId='%s')?$select=displayName,passwordCredentials", url.PathEscape(applicationID))
	req, err := runtime.NewRequest(ctx, http.MethodGet, c.graph.endpoint+path)
	if err != nil {
		return Application{}, fmt.Errorf("%s: %w", what, err)
	}
	resp, err := do(c.graph.pipeline, what, req)
	if err != nil {
		return Application{}, err
	}
	defer resp.Body.Close()
	var a Application
	if err := runtime.UnmarshalAsJSON(resp, &a); err != nil {
		return Application{}, &Error{What: what, Kind: Refused, Message: "the answer of Microsoft Graph could not be read: " + err.Error()}
	}
	return a, nil
}
