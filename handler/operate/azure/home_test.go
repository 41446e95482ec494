package azure_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

// Wherever an answer leads, the token of ARM stays with ARM.
func TestTheTokenStaysAtHome(t *testing.T) {
	t.Parallel()
	lead := func(header string) azuretest.Answer {
		return azuretest.Answer{Status: http.StatusCreated, Body: azuretest.Object{}, Header: map[string]string{header: "https://evil.example/operations/1"}}
	}
	create := func(c *azure.Client) error { _, err := c.CreateDomain(t.Context(), emails, "example.com"); return err }
	for name, c := range map[string]struct {
		method, suffix string
		answer         azuretest.Answer
		ask            func(*azure.Client) error
	}{
		"the next page": {"GET", "/domains", azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{}, "nextLink": "https://evil.example/domains?api-version=1"}}, func(c *azure.Client) error {
			_, err := c.Domains(t.Context(), emails)
			return err
		}},
		"the next page beside it": {"GET", "/domains", azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{}, "nextLink": "https://management.azure.com.evil.example/domains"}}, func(c *azure.Client) error {
			_, err := c.Domains(t.Context(), emails)
			return err
		}},
		"an operation":       {"PUT", "/domains/example.com", lead("Azure-AsyncOperation"), create},
		"the place of one":   {"PUT", "/domains/example.com", lead("Location"), create},
		"a connection's ids": {"", "/never", azuretest.Answer{}, func(c *azure.Client) error { _, err := c.Domain(t.Context(), "https://evil.example/d"); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client := deployed(t)
			f.Answer(c.method, c.suffix, -1, func(azuretest.Request) azuretest.Answer { return c.answer })
			if err := c.ask(client); !azure.IsKind(err, azure.Refused) || !strings.Contains(err.Error(), "evil.example") {
				t.Errorf("%v", err)
			}
			for _, r := range f.Requests() {
				if strings.HasPrefix(r.Path, "//") {
					t.Errorf("asked %s", r.Path)
				}
			}
		})
	}
}

// What has no end is left, and can be taken up again.
func TestAnOperationWithoutEnd(t *testing.T) {
	t.Parallel()
	f, _ := deployed(t)
	f.Answer("GET", "/operations/example.com", -1, func(azuretest.Request) azuretest.Answer {
		return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"status": "InProgress"}}
	})
	c, err := azure.New(azure.Options{Credential: azuretest.Credential{}, Cloud: f.Cloud(), Transport: f.Transport(), PollEvery: time.Millisecond, Patience: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.CreateDomain(ctx, emails, "example.com"); !azure.IsKind(err, azure.Away) || !strings.Contains(err.Error(), "not ended within 20ms") {
		t.Errorf("%v", err)
	}
}

func TestAnOperationThatFails(t *testing.T) {
	t.Parallel()
	f, c := deployed(t)
	f.Answer("GET", "/operations/example.com", -1, func(azuretest.Request) azuretest.Answer {
		return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"status": "Failed", "error": azuretest.Object{"code": "DomainTaken", "message": "It belongs to others."}}}
	})
	_, err := c.CreateDomain(t.Context(), emails, "example.com")
	if want := "could not create the domain example.com: It belongs to others (DomainTaken)"; !azure.IsKind(err, azure.Refused) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// An answer that lacks what it should have is no empty list: that would be written back.
func TestAnswersThatLackTheirList(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]any{"empty": nil, "null": []byte(nil), "an object": azuretest.Object{}, "of another type": azuretest.Object{"id": 7, "properties": "x"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := deployed(t)
			f.Answer("GET", "", -1, func(azuretest.Request) azuretest.Answer { return azuretest.Answer{Status: http.StatusOK, Body: body} })
			f.Answer("POST", "/list", -1, func(azuretest.Request) azuretest.Answer { return azuretest.Answer{Status: http.StatusOK, Body: body} })
			if s, err := c.Service(t.Context(), service); !azure.IsKind(err, azure.Refused) {
				t.Errorf("the service is %+v, %v", s, err)
			}
			if d, err := c.Domain(t.Context(), managed); !azure.IsKind(err, azure.Refused) {
				t.Errorf("the domain is %+v, %v", d, err)
			}
			if err := c.ChangeAppSettings(t.Context(), site, map[string]string{"A": "b"}); !azure.IsKind(err, azure.Refused) {
				t.Errorf("settings: %v", err)
			}
			for _, r := range f.Requests() {
				if r.Method == http.MethodPut {
					t.Errorf("put %v", r.Body)
				}
			}
		})
	}
}

// A role, or another try, does not mend these.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{"RequestDisallowedByPolicy": 403, "ScopeLocked": 409, "ReadOnlyDisabledSubscription": 409} {
		f, c := deployed(t)
		f.Fail("PATCH", "/post", -1, status, code, "No.")
		if err := c.LinkDomains(t.Context(), service, nil, ""); !azure.IsKind(err, azure.Refused) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
