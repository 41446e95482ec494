package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
	"github.com/posthorn/posthorn/handler/version"
	"github.com/posthorn/posthorn/handler/wiring"
)

// read is an answer, or why there is none. Its zero value was not asked for.
type read[T any] struct {
	value T
	err   error
	done  bool
}

var errUnasked = errors.New("it was not asked for")

// facts are all that a page is made of.
type facts struct {
	at  connection
	now time.Time

	claims     claims
	standing   read[azure.Standing]
	site       read[azure.Site]
	settings   read[map[string]string]
	references read[[]azure.Reference]
	host       read[azure.HostStatus]
	service    read[azure.Service]
	domains    read[[]azure.Domain]
	senders    map[azure.ID]*read[[]azure.Sender]
	zones      map[azure.ID]*read[dns.Report]

	account    read[azure.Account]
	containers read[[]azure.Container]
	queues     read[[]azure.Resource]
	tables     read[[]azure.Resource]
	rows       read[azure.Answer] // of the table of callers, for this operator

	vault         read[azure.Vault]
	component     read[azure.Component]
	topic         read[azure.Topic]
	subscriptions read[[]azure.EventSubscription]
	dead          read[int]

	needs []roleNeed
	roles map[holding]*read[[]azure.RoleAssignment]

	acs, alive, ready read[azure.Answer]
	version           string // of this program
}

// claims are what a token says of its owner.
type claims struct {
	Tenant   string `json:"tid"`
	Object   string `json:"oid"`
	Kind     string `json:"idtyp"` // user or app; or empty
	Audience string `json:"aud"`
}

// claimsOf reads a token without checking it: Azure does that. One that is in no known
// form has no claims.
func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err != nil || json.Unmarshal(text, &c) != nil {
		return claims{}
	}
	return c
}

// questions are asked at once, but not all of them.
type questions struct {
	ctx   context.Context
	going sync.WaitGroup
	slots chan struct{}
}

const mostQuestions = 8

func ask[T any](q *questions, to *read[T], question func(context.Context) (T, error)) {
	q.going.Go(func() {
		select {
		case q.slots <- struct{}{}:
			to.value, to.err = question(q.ctx)
			<-q.slots
		case <-q.ctx.Done():
			to.err = q.ctx.Err()
		}
		to.done = true
	})
}

// chosen is the one of a list that fits.
func chosen[T any](list read[[]T], what string, fits func(T) bool) read[T] {
	if list.err != nil || !list.done {
		return read[T]{err: list.err, done: list.done}
	}
	if i := slices.IndexFunc(list.value, fits); i >= 0 {
		return read[T]{value: list.value[i], done: true}
	}
	return read[T]{err: absentError(what), done: true}
}

// examine asks Azure, the gateway and DNS. It fails only without a login.
func (c *console) examine(ctx context.Context, client *azure.Client, at connection, look func(context.Context, dns.Domain) dns.Report) (*facts, error) {
	token, err := client.Token(ctx, "https://management.azure.com/.default")
	if err != nil {
		return nil, err
	}
	f := &facts{
		at: at, now: c.now(), claims: claimsOf(token), version: version.String(),
		senders: map[azure.ID]*read[[]azure.Sender]{}, zones: map[azure.ID]*read[dns.Report]{}, roles: map[holding]*read[[]azure.RoleAssignment]{},
	}
	f.first(ctx, client)
	f.second(ctx, client, look)
	return f, ctxCanceled(ctx)
}

// ctxCanceled is not the end of the time: a page is written then.
func ctxCanceled(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return nil
}

// first asks what can be asked at once.
func (f *facts) first(ctx context.Context, client *azure.Client) {
	q := &questions{ctx: ctx, slots: make(chan struct{}, mostQuestions)}
	sub, site := f.at.Subscription, f.at.Site
	var accounts read[[]azure.Account]
	var vaults read[[]azure.Vault]
	var components read[[]azure.Component]
	var topics read[[]azure.Topic]
	ask(q, &f.standing, func(ctx context.Context) (azure.Standing, error) { return client.Standing(ctx, sub) })
	ask(q, &f.site, func(ctx context.Context) (azure.Site, error) { return client.Site(ctx, site) })
	ask(q, &f.settings, func(ctx context.Context) (map[string]string, error) { return client.AppSettings(ctx, site) })
	ask(q, &f.references, func(ctx context.Context) ([]azure.Reference, error) { return client.References(ctx, site) })
	ask(q, &f.host, func(ctx context.Context) (azure.HostStatus, error) { return client.HostStatus(ctx, site) })
	ask(q, &accounts, func(ctx context.Context) ([]azure.Account, error) { return client.Accounts(ctx, sub) })
	ask(q, &vaults, func(ctx context.Context) ([]azure.Vault, error) { return client.Vaults(ctx, sub) })
	ask(q, &components, func(ctx context.Context) ([]azure.Component, error) { return client.Components(ctx, sub) })
	if f.at.Service != "" {
		ask(q, &f.service, func(ctx context.Context) (azure.Service, error) { return client.Service(ctx, f.at.Service) })
		ask(q, &topics, func(ctx context.Context) ([]azure.Topic, error) {
			return client.Topics(ctx, f.at.Service.Subscription())
		})
	}
	if f.at.EmailService != "" {
		ask(q, &f.domains, func(ctx context.Context) ([]azure.Domain, error) { return client.Domains(ctx, f.at.EmailService) })
	}
	q.going.Wait()

	name, _, _ := strings.Cut(hostOf(f.setting(tableEndpoint)), ".")
	if name == "" && (!f.settings.done || f.settings.err != nil) {
		accounts = read[[]azure.Account]{err: f.settings.err, done: f.settings.done}
	}
	f.account = chosen(accounts, fmt.Sprintf("there is no storage account %q in the subscription", name), func(a azure.Account) bool { return name != "" && strings.EqualFold(a.ID.Name(), name) })
	vault, _, _ := strings.Cut(hostOf(f.secret()), ".")
	f.vault = chosen(vaults, fmt.Sprintf("there is no vault %q in the subscription", vault), func(v azure.Vault) bool { return strings.EqualFold(v.ID.Name(), vault) })
	f.component = chosen(components, "the Application Insights resource of the connection string is not in the subscription", func(c azure.Component) bool {
		return c.Properties.Key != "" && strings.Contains(strings.ToLower(f.telemetry()), strings.ToLower(c.Properties.Key))
	})
	f.topic = chosen(topics, "there is no Event Grid system topic of the Communication Services resource: delivery reports go nowhere", func(t azure.Topic) bool { return azure.SameID(t.Properties.Source, f.at.Service) })
}

// second asks what the first answers lead to.
func (f *facts) second(ctx context.Context, client *azure.Client, look func(context.Context, dns.Domain) dns.Report) {
	q := &questions{ctx: ctx, slots: make(chan struct{}, mostQuestions)}
	get := func(to *read[azure.Answer], address, scope string) {
		ask(q, to, func(ctx context.Context) (azure.Answer, error) { return client.Get(ctx, address, scope) })
	}
	if address := f.setting("POSTHORN_PUBLIC_URL"); address != "" {
		get(&f.alive, address+"/healthz", "")
		get(&f.ready, address+"/readyz", "")
	}
	if address := f.setting(acsEndpoint); address != "" {
		get(&f.acs, address, "")
	}
	if address := f.setting(tableEndpoint); azure.IsStorage(address) {
		get(&f.rows, address+"/"+wiring.CallersTable+"()?$top=1", azure.ScopeStorage)
	}
	if id := f.account.value.ID; id != "" {
		ask(q, &f.containers, func(ctx context.Context) ([]azure.Container, error) { return client.Containers(ctx, id) })
		ask(q, &f.queues, func(ctx context.Context) ([]azure.Resource, error) { return client.Queues(ctx, id) })
		ask(q, &f.tables, func(ctx context.Context) ([]azure.Resource, error) { return client.Tables(ctx, id) })
	}
	if id := f.topic.value.ID; id != "" {
		ask(q, &f.subscriptions, func(ctx context.Context) ([]azure.EventSubscription, error) {
			return client.EventSubscriptions(ctx, id)
		})
		ask(q, &f.dead, func(ctx context.Context) (int, error) {
			return client.DeadLettered(ctx, id, f.now.Add(-deadDays*24*time.Hour), f.now)
		})
	}
	for _, d := range f.linked() {
		if d.Managed() {
			continue
		}
		f.senders[d.ID], f.zones[d.ID] = new(read[[]azure.Sender]), new(read[dns.Report])
		ask(q, f.senders[d.ID], func(ctx context.Context) ([]azure.Sender, error) { return client.Senders(ctx, d.ID) })
		ask(q, f.zones[d.ID], func(ctx context.Context) (dns.Report, error) { return look(ctx, inDNS(d)), nil })
	}
	f.needs = f.roleNeeds()
	for _, n := range f.needs {
		if f.roles[n.holding] == nil {
			f.roles[n.holding] = new(read[[]azure.RoleAssignment])
			ask(q, f.roles[n.holding], func(ctx context.Context) ([]azure.RoleAssignment, error) {
				return client.RoleAssignments(ctx, n.scope, n.principal)
			})
		}
	}
	q.going.Wait()
}

// setting is what the app has now; if that could not be read, what it had at the time
// of the connection.
func (f *facts) setting(name string) string {
	if f.settings.done && f.settings.err == nil && (f.settings.value[name] != "" || name != "POSTHORN_PUBLIC_URL") {
		return strings.TrimSuffix(f.settings.value[name], "/")
	}
	return strings.TrimSuffix(f.at.Settings[name], "/")
}

// secret is the address of the master key.
func (f *facts) secret() string { return secretAddress(f.settings.value["POSTHORN_MASTER_KEY"]) }

// telemetry is the connection string of Application Insights, which is never shown:
// Posthorn's, or else the host's.
func (f *facts) telemetry() string {
	if text := f.settings.value["POSTHORN_AZURE_MONITOR_CONNECTION_STRING"]; text != "" {
		return text
	}
	return f.settings.value["APPLICATIONINSIGHTS_CONNECTION_STRING"]
}

// linked are the domains that are linked, as far as they are known.
func (f *facts) linked() (linked []azure.Domain) {
	for _, d := range f.domains.value {
		if slices.ContainsFunc(f.service.value.Properties.LinkedDomains, func(id azure.ID) bool { return azure.SameID(id, d.ID) }) {
			linked = append(linked, d)
		}
	}
	return linked
}
