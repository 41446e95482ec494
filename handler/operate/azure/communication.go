package azure

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Service is a Communication Services resource.
type Service struct {
	ID         ID                `json:"id"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	ETag       string            `json:"-"` // empty where Azure gives none
	Properties struct {
		HostName         string `json:"hostName"`
		DataLocation     string `json:"dataLocation"`
		LinkedDomains    []ID   `json:"linkedDomains"`
		DisableLocalAuth bool   `json:"disableLocalAuth"`
		State            string `json:"provisioningState"`
	} `json:"properties"`
}

// EmailService is an Email Service: what domains belong to.
type EmailService struct {
	ID         ID `json:"id"`
	Properties struct {
		DataLocation string `json:"dataLocation"`
	} `json:"properties"`
}

// Kinds of verification, as ACS names them. DMARC is one of them too, but ACS never ends it.
const (
	VerifyDomain = "Domain"
	VerifySPF    = "SPF"
	VerifyDKIM   = "DKIM"
	VerifyDKIM2  = "DKIM2"
)

// Verifications are those that a domain needs before it can be linked, in the order in
// which they are asked for.
func Verifications() []string { return []string{VerifyDomain, VerifySPF, VerifyDKIM, VerifyDKIM2} }

// Statuses of a verification. Others may come; they count as under way.
const (
	StatusNotStarted = "NotStarted"
	StatusVerified   = "Verified"
	StatusFailed     = "VerificationFailed"
)

// Record is a DNS record that ACS wants. TTL is seconds.
type Record struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	TTL   int    `json:"ttl"`
}

// VerificationState is how far a verification is. ErrorCode is Azure's, or empty.
type VerificationState struct {
	Status    string `json:"status"`
	ErrorCode string `json:"errorCode,omitempty"`
}

// Domain is a domain of an Email Service. Its name is the last part of its ID; the
// managed one is named AzureManagedDomain, and its mail comes from FromSenderDomain.
type Domain struct {
	ID         ID `json:"id"`
	Properties struct {
		Management       string                       `json:"domainManagement"` // AzureManaged, CustomerManaged, CustomerManagedInExchangeOnline
		FromSenderDomain string                       `json:"fromSenderDomain"`
		MailFromDomain   string                       `json:"mailFromSenderDomain"`
		Tracking         string                       `json:"userEngagementTracking"` // Enabled, Disabled
		Records          map[string]Record            `json:"verificationRecords"`
		States           map[string]VerificationState `json:"verificationStates"`
		State            string                       `json:"provisioningState"`
	} `json:"properties"`
	SystemData struct {
		CreatedAt time.Time `json:"createdAt"`
	} `json:"systemData"`
}

// Managed tells a domain of Azure's own.
func (d Domain) Managed() bool { return d.Properties.Management == "AzureManaged" }

// Sends is the domain that stands behind the @ of its senders.
func (d Domain) Sends() string {
	if d.Properties.FromSenderDomain != "" {
		return d.Properties.FromSenderDomain
	}
	return d.ID.Name()
}

// Verified tells whether it can be linked: all Verifications, never DMARC.
func (d Domain) Verified() bool {
	if d.Managed() {
		return true
	}
	for _, kind := range Verifications() {
		if d.Properties.States[kind].Status != StatusVerified {
			return false
		}
	}
	return true
}

// Sender is a sender username of a domain.
type Sender struct {
	ID         ID `json:"id"`
	Properties struct {
		Username    string `json:"username"`
		DisplayName string `json:"displayName"`
	} `json:"properties"`
}

// SMTPUsername is a name under which an Entra app may send by SMTP.
type SMTPUsername struct {
	ID         ID `json:"id"`
	Properties struct {
		Username      string `json:"username"`
		ApplicationID string `json:"entraApplicationId"`
		TenantID      string `json:"tenantId"`
	} `json:"properties"`
}

// Services are the Communication Services resources of a subscription.
func (c *Client) Services(ctx context.Context, subscription string) ([]Service, error) {
	return list[Service](ctx, c, request{
		what: "list the Communication Services resources of subscription " + subscription,
		path: "/subscriptions/" + subscription + "/providers/Microsoft.Communication/communicationServices", version: versionCommunication,
	})
}

// Service reads one.
func (c *Client) Service(ctx context.Context, id ID) (Service, error) {
	var s Service
	header, err := c.call(ctx, request{what: "read the Communication Services resource " + id.Name(), method: http.MethodGet, path: string(id), version: versionCommunication}, &s)
	s.ETag = header.Get("ETag")
	return s, named(s.ID, "read the Communication Services resource "+id.Name(), err)
}

// LinkDomains makes domains the whole list of those that are linked. It changes nothing
// else. With an etag it fails with Conflict if the resource changed since; whether Azure
// looks at it is not known, so read the list again afterwards.
func (c *Client) LinkDomains(ctx context.Context, id ID, domains []ID, etag string) error {
	if domains == nil {
		domains = []ID{}
	}
	_, err := c.call(ctx, request{
		what: "change the linked domains of " + id.Name(), method: http.MethodPatch, path: string(id), version: versionCommunication, ifMatch: etag,
		body: map[string]any{"properties": map[string]any{"linkedDomains": domains}},
	}, nil)
	return err
}

// EmailServices are those of a subscription.
func (c *Client) EmailServices(ctx context.Context, subscription string) ([]EmailService, error) {
	return list[EmailService](ctx, c, request{
		what: "list the Email Services of subscription " + subscription,
		path: "/subscriptions/" + subscription + "/providers/Microsoft.Communication/emailServices", version: versionCommunication,
	})
}

// Domains are those of an Email Service.
func (c *Client) Domains(ctx context.Context, emailService ID) ([]Domain, error) {
	return list[Domain](ctx, c, request{
		what: "list the domains of the Email Service " + emailService.Name(), path: string(emailService) + "/domains", version: versionCommunication,
	})
}

// Domain reads one.
func (c *Client) Domain(ctx context.Context, id ID) (Domain, error) {
	var d Domain
	_, err := c.call(ctx, request{what: "read the domain " + id.Name(), method: http.MethodGet, path: string(id), version: versionCommunication}, &d)
	return d, named(d.ID, "read the domain "+id.Name(), err)
}

// named refuses a resource without an id. What it lacks besides, such as the list of
// linked domains, would be taken for empty, and written back so.
func named(id ID, what string, err error) error {
	if err == nil && id == "" {
		return &Error{What: what, Kind: Refused, Message: "the answer of Azure is no resource"}
	}
	return err
}

// CreateDomain makes a domain that its owner verifies, or leaves the one that is there
// as it is, and waits until it has records.
func (c *Client) CreateDomain(ctx context.Context, emailService ID, name string) (Domain, error) {
	var d Domain
	_, err := c.call(ctx, request{
		what: "create the domain " + name, method: http.MethodPut, path: string(emailService.Child("domains", name)), version: versionCommunication,
		body: map[string]any{"location": "global", "properties": map[string]any{"domainManagement": "CustomerManaged", "userEngagementTracking": "Disabled"}},
	}, &d)
	return d, named(d.ID, "create the domain "+name, err)
}

// StartVerification has ACS look at the DNS for one of Verifications. It does not wait
// for the outcome, which stands in the domain's states.
func (c *Client) StartVerification(ctx context.Context, domain ID, kind string) error {
	resp, err := c.send(ctx, request{
		what: "begin the verification of " + kind + " for " + domain.Name(), method: http.MethodPost, path: string(domain) + "/initiateVerification", version: versionCommunication,
		body: map[string]string{"verificationType": kind},
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Senders are the sender usernames of a domain.
func (c *Client) Senders(ctx context.Context, domain ID) ([]Sender, error) {
	return list[Sender](ctx, c, request{what: "list the senders of " + domain.Name(), path: string(domain) + "/senderUsernames", version: versionCommunication})
}

// SetSender makes a sender username, or gives it another display name; without one it has none.
func (c *Client) SetSender(ctx context.Context, domain ID, username, displayName string) error {
	properties := map[string]string{"username": username}
	if displayName != "" {
		properties["displayName"] = displayName
	}
	_, err := c.call(ctx, request{
		what: fmt.Sprintf("set the sender %s of %s", username, domain.Name()), method: http.MethodPut, path: string(domain.Child("senderUsernames", username)), version: versionCommunication,
		body: map[string]any{"properties": properties},
	}, nil)
	return err
}

// RemoveSender deletes a sender username; one that is not there is no error.
func (c *Client) RemoveSender(ctx context.Context, domain ID, username string) error {
	_, err := c.call(ctx, request{
		what: fmt.Sprintf("remove the sender %s of %s", username, domain.Name()), method: http.MethodDelete, path: string(domain.Child("senderUsernames", username)), version: versionCommunication,
	}, nil)
	return err
}

// SMTPUsernames are the names for SMTP of a Communication Services resource.
func (c *Client) SMTPUsernames(ctx context.Context, service ID) ([]SMTPUsername, error) {
	return list[SMTPUsername](ctx, c, request{what: "list the SMTP usernames of " + service.Name(), path: string(service) + "/smtpUsernames", version: versionCommunication})
}

// SameID compares ids as ARM does.
func SameID(a, b ID) bool { return strings.EqualFold(string(a), string(b)) }
