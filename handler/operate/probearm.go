package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// ownName begins the names of all that a probe makes. Nothing else is ever deleted.
const ownName = "posthorn-probe"

// clearTime bounds the deletion of what a probe has made.
const clearTime = 10 * time.Minute

// made remembers a resource before it is made, so that a later run can delete it.
func (a *probeRun) made(id azure.ID) error {
	a.now.Left = append(a.now.Left, id)
	return a.known.save()
}

// clear deletes what probes have left. A run that is interrupted still does so.
func (a *probeRun) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTime)
	defer cancel()
	var faults error
	for _, k := range a.known.here {
		for _, id := range slices.Backward(slices.Clone(k.Left)) {
			_, own, _ := strings.Cut(string(id), "/providers/") // a group may be named so, too
			if !strings.Contains(own, "/"+ownName) {
				continue // somebody wrote it there
			}
			a.c.tell("  Deleting %s.", own)
			if err := a.cloud.Delete(ctx, id); err != nil && !azure.IsKind(err, azure.NotFound) {
				a.c.tell("  Not deleted: %s. The next run deletes it.", id)
				faults = errors.Join(faults, err)
				break // what it belongs to cannot go before it
			}
			k.Left = slices.DeleteFunc(k.Left, func(other azure.ID) bool { return other == id })
			faults = errors.Join(faults, a.known.save())
		}
	}
	return faults
}

// askPut is P20. It is asked of resources that it makes and deletes: an Email Service
// with its managed domain, and a Communication Services resource that links it.
func askPut(ctx context.Context, a *probeRun) (answer string, err error) {
	connected, err := a.cloud.Service(ctx, a.cloud.at.Service)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.clear(ctx)) }()
	place := connected.Properties.DataLocation
	own := ownName + "-" + uuid.NewString()[:8] + "-tmp"
	emails := a.cloud.at.EmailService.Parent().Child("emailServices", own)
	service := a.cloud.at.Service.Parent().Child("communicationServices", own)
	if err := a.made(emails); err != nil {
		return "", err
	}
	a.c.tell("  Making %s, for a throw-away domain.", own)
	if err := a.cloud.PutEmailService(ctx, emails, place); err != nil {
		return "", err
	}
	if err := a.made(emails.Child("domains", "AzureManagedDomain")); err != nil {
		return "", err
	}
	domain, err := a.cloud.PutManagedDomain(ctx, emails)
	if err != nil {
		return "", err
	}
	if err := a.made(service); err != nil {
		return "", err
	}
	return a.putTwice(ctx, service, domain, place)
}

// putTwice links a domain by one PUT, and says nothing of it in the next.
func (a *probeRun) putTwice(ctx context.Context, service, domain azure.ID, place string) (string, error) {
	if err := a.cloud.PutService(ctx, service, map[string]any{"dataLocation": place, "linkedDomains": []azure.ID{domain}}); err != nil {
		return "", err
	}
	linked, err := a.cloud.Service(ctx, service)
	if err != nil {
		return "", err
	}
	if err := a.saw("PUT with linkedDomains: %d linked", len(linked.Properties.LinkedDomains)); err != nil {
		return "", err
	}
	if len(linked.Properties.LinkedDomains) != 1 {
		return "", askError("the domain is not linked, so no link can be lost")
	}
	if err := a.cloud.PutService(ctx, service, map[string]any{"dataLocation": place}); err != nil {
		return "", err
	}
	if linked, err = a.cloud.Service(ctx, service); err != nil {
		return "", err
	}
	if err := a.saw("PUT without linkedDomains: %d linked", len(linked.Properties.LinkedDomains)); err != nil {
		return "", err
	}
	if len(linked.Properties.LinkedDomains) == 0 {
		return "empties", nil
	}
	return "keeps", nil
}

// askSuppressed is P17. The list holds the operator's own mailbox for some minutes.
func askSuppressed(ctx context.Context, a *probeRun) (answer string, err error) {
	username, name, _ := strings.Cut(a.sender, "@")
	domains, err := a.cloud.Domains(ctx, a.cloud.at.EmailService)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(domains, func(d azure.Domain) bool { return strings.EqualFold(d.Sends(), name) })
	if at < 0 {
		return "", askError("the domain of --sender does not belong to the connected Email Service")
	}
	defer func() { err = errors.Join(err, a.clear(ctx)) }()
	list := domains[at].ID.Child("suppressionLists", ownName)
	entry := list.Child("suppressionListAddresses", uuid.NewString())
	if err := a.made(list); err != nil {
		return "", err
	}
	if err := a.cloud.PutSuppressionList(ctx, list, username); err != nil {
		return "", err
	}
	if err := a.made(entry); err != nil {
		return "", err
	}
	if err := a.cloud.PutSuppressed(ctx, entry, a.to[0]); err != nil {
		return "", err
	}
	for _, wait := range []time.Duration{0, time.Minute} { // a new list may need a moment
		if err := a.c.sleep(ctx, wait); err != nil {
			return "", err
		}
		operation, m := a.first("P17")
		r, err := a.post(ctx, "to a suppressed address", "", operation, m)
		if err != nil || !r.taken() {
			return judged(r), err
		}
		end, err := a.fate(ctx, operation)
		if err != nil || end.state == "Failed" {
			return "failed", err
		}
	}
	return "succeeded", nil
}

// withoutMessage is a call that ACS refuses for its body once it has accepted the login.
func (a *probeRun) withoutMessage(ctx context.Context) (reply, error) {
	a.posted = true
	return a.wire.send(ctx, "", "", []byte("{}"))
}

// askWithoutRole is P9.
func askWithoutRole(ctx context.Context, a *probeRun) (string, error) {
	r, err := a.withoutMessage(ctx)
	if err != nil {
		return "", err
	}
	if err := a.saw("a call without a message: %s", r); err != nil {
		return "", err
	}
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		return strconv.Itoa(r.status), nil
	}
	return "", askError("this login has the role. " + otherLogin)
}

// askNewRole is P9.wait: a call a minute until ACS accepts the login.
func askNewRole(ctx context.Context, a *probeRun) (string, error) {
	a.c.tell("  Assign the role now. A call a minute asks whether it works, for half an hour.")
	began := a.c.now()
	for range 31 {
		r, err := a.withoutMessage(ctx)
		if err != nil {
			return "", err
		}
		after := a.c.now().Sub(began).Round(time.Second)
		switch {
		case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
			a.c.tell("  After %s: %d.", after, r.status)
		case r.status == http.StatusTooManyRequests || r.status >= 500:
			return "", askError(fmt.Sprintf("ACS gave no clear answer: %d %s", r.status, r.code))
		default:
			if err := a.saw("the role works after %s: %s", after, r); err != nil {
				return "", err
			}
			for _, limit := range []string{"1m", "5m", "15m", "30m"} {
				if d, _ := time.ParseDuration(limit); after <= d {
					return limit, nil
				}
			}
			return "longer", nil
		}
		if err := a.c.sleep(ctx, time.Minute); err != nil {
			return "", err
		}
	}
	return "longer", a.saw("the role does not work after %s", a.c.now().Sub(began).Round(time.Second))
}
