// Command goclients makes calls with other services' clients for Go, unchanged,
// and prints what they say came of them. It is a module of its own, so that the
// product depends on none of them. The folders beside hold the programs that the
// pages of docs/clients show.
//
// In: a JSON array of calls, each the name of a client and a message as that
// client's own type has it, or what of the client to call. Out: an array of outcomes in the same order.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"

	keighl "github.com/keighl/postmark"
	"github.com/mrz1836/postmark"
	"github.com/resend/resend-go/v3"
	"github.com/sendgrid/sendgrid-go"
	"github.com/sendgrid/sendgrid-go/helpers/mail"
)

// outcome is what a client says: the id of a message that was taken, or why it was
// not.
type outcome struct {
	ID      string `json:"id,omitempty"`
	Message string `json:"message,omitempty"`
}

type call struct {
	Client  string
	Message json.RawMessage
}

func main() {
	var calls []call
	if err := json.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		log.Fatal(err)
	}
	clients := map[string]func(message json.RawMessage, base, key string) (outcome, error){
		"resend": byResend, "sendgrid": bySendGrid, "sendgrid, packed": bySendGridPacked, "postmark": byPostmark, "postmark, old": byKeighl,
		"resend, domains": resendDomains, "resend, contacts": resendContacts, "sendgrid, contacts": sendGridContacts, "postmark, bounces": postmarkBounces,
	}
	var outcomes []outcome
	for _, c := range calls {
		o, err := clients[c.Client](c.Message, os.Getenv("POSTHORN_URL"), os.Getenv("POSTHORN_KEY"))
		if err != nil {
			o = outcome{Message: err.Error()}
		}
		outcomes = append(outcomes, o)
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		log.Fatal(err)
	}
}

func newResend(base, key string) (*resend.Client, error) {
	client := resend.NewClient(key)
	var err error
	client.BaseURL, err = url.Parse(base + "/")
	return client, err
}

func byResend(message json.RawMessage, base, key string) (outcome, error) {
	client, err := newResend(base, key)
	if err != nil {
		return outcome{}, err
	}
	var m resend.SendEmailRequest
	if err := json.Unmarshal(message, &m); err != nil {
		return outcome{}, err
	}
	sent, err := client.Emails.Send(&m)
	if err != nil {
		return outcome{}, err
	}
	return outcome{ID: sent.Id}, nil
}

func bySendGrid(message json.RawMessage, base, key string) (outcome, error) {
	return sendGrid(sendgrid.NewSendClient(key), message, base)
}

// bySendGridPacked lets the client compress the body.
func bySendGridPacked(message json.RawMessage, base, key string) (outcome, error) {
	client := sendgrid.NewSendClient(key)
	client.Headers["Content-Encoding"] = "gzip"
	return sendGrid(client, message, base)
}

func sendGrid(client *sendgrid.Client, message json.RawMessage, base string) (outcome, error) {
	client.BaseURL = base + "/v3/mail/send"
	var m mail.SGMailV3
	if err := json.Unmarshal(message, &m); err != nil {
		return outcome{}, err
	}
	response, err := client.Send(&m)
	if err != nil {
		return outcome{}, err
	}
	if response.StatusCode != 202 {
		return outcome{}, fmt.Errorf("%d %s", response.StatusCode, response.Body)
	}
	return outcome{ID: response.Headers["X-Message-Id"][0]}, nil
}

func byPostmark(message json.RawMessage, base, key string) (outcome, error) {
	client := postmark.NewClient(key, "")
	client.BaseURL = base
	var m postmark.Email
	if err := json.Unmarshal(message, &m); err != nil {
		return outcome{}, err
	}
	sent, err := client.SendEmail(context.Background(), m)
	return outcome{ID: sent.MessageID}, err
}

func byKeighl(message json.RawMessage, base, key string) (outcome, error) {
	client := keighl.NewClient(key, "")
	client.BaseURL = base
	var m keighl.Email
	if err := json.Unmarshal(message, &m); err != nil {
		return outcome{}, err
	}
	sent, err := client.SendEmail(m)
	return outcome{ID: sent.MessageID}, err
}

func resendDomains(_ json.RawMessage, base, key string) (outcome, error) {
	client, err := newResend(base, key)
	if err == nil {
		_, err = client.Domains.Verify("11111111-1111-4111-8111-111111111111")
	}
	return outcome{}, err
}

func resendContacts(_ json.RawMessage, base, key string) (outcome, error) {
	client, err := newResend(base, key)
	if err == nil {
		_, err = client.Contacts.List(&resend.ListContactsOptions{})
	}
	return outcome{}, err
}

func sendGridContacts(_ json.RawMessage, base, key string) (outcome, error) {
	response, err := sendgrid.API(sendgrid.GetRequest(key, "/v3/marketing/contacts", base))
	if err != nil {
		return outcome{}, err
	}
	return outcome{}, fmt.Errorf("%d %s", response.StatusCode, response.Body)
}

func postmarkBounces(_ json.RawMessage, base, key string) (outcome, error) {
	client := postmark.NewClient(key, "")
	client.BaseURL = base
	_, _, err := client.GetBounces(context.Background(), 1, 0, nil)
	return outcome{}, err
}
