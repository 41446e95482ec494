package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// role is a built-in role, by the GUID of its definition. within are roles that have all
// of its rights.
// Source: learn.microsoft.com, "Azure built-in roles".
type role struct {
	name, id string
	within   []string
}

var (
	roleBlobOwner   = role{name: "Storage Blob Data Owner", id: "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"}
	roleBlobs       = role{name: "Storage Blob Data Contributor", id: "ba92f5b4-2d11-453d-a403-e96b0029c9fe", within: []string{roleBlobOwner.id}}
	roleQueues      = role{name: "Storage Queue Data Contributor", id: "974c5e8b-45b9-4653-ba55-5f855dd0fb88"}
	roleQueueSender = role{name: "Storage Queue Data Message Sender", id: "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", within: []string{roleQueues.id}}
	roleTables      = role{name: "Storage Table Data Contributor", id: "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"}
	roleMetrics     = role{name: "Monitoring Metrics Publisher", id: "3913510d-42f4-4e42-8a64-420c390055eb"}
	// roleSecrets is within Key Vault Secrets Officer and Key Vault Administrator.
	roleSecrets = role{name: "Key Vault Secrets User", id: "4633458b-17de-408a-b874-0445c86b69e6", within: []string{"b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "00482a5a-887f-4fb3-b363-3b7fe8e74483"}}
	// roleSends is within Contributor and Owner. No built-in role may only send.
	roleSends = role{name: "Communication and Email Service Owner", id: "09976791-48a7-449e-bb21-39d1a415f350", within: []string{"b24988ac-6180-42a0-ab88-20f7382dd24c", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"}}
)

// holding is whose roles are asked for, and where.
type holding struct {
	scope     azure.ID
	principal string
}

// roleNeed is a role that somebody must have, and what does not work without it.
type roleNeed struct {
	holding
	role
	who, where, without string
	ofTopic             bool // of the events' identity, and not of the app's
}

// principal is the identity of the app: the one that AZURE_CLIENT_ID names, else the
// system-assigned one. It is empty if there is none, or if the app is not known.
func (f *facts) principal() string {
	client := f.setting("AZURE_CLIENT_ID")
	if f.settings.err != nil { // then what is usual is taken for it
		client = f.client()
	}
	for _, id := range f.site.value.Identity.UserAssigned {
		if strings.EqualFold(id.ClientID, client) {
			return id.PrincipalID
		}
	}
	if client != "" {
		return ""
	}
	return f.site.value.Identity.PrincipalID
}

// client is the client id by which a user-assigned identity is to be named; empty for
// the system-assigned one.
func (f *facts) client() string {
	named, all := f.setting("AZURE_CLIENT_ID"), f.site.value.Identity
	if all.PrincipalID != "" && named == "" {
		return ""
	}
	if len(all.UserAssigned) == 1 {
		for _, id := range all.UserAssigned {
			return id.ClientID
		}
	}
	return named
}

// roleNeeds are those of the app and of the events, at the places that are known.
func (f *facts) roleNeeds() (needs []roleNeed) {
	add := func(scope azure.ID, principal, who string, r role, where, without string) {
		if scope != "" && principal != "" {
			needs = append(needs, roleNeed{holding{scope, principal}, r, who, where, without, who != "the app"})
		}
	}
	account := f.account.value.ID
	app := f.principal()
	add(account, app, "the app", roleBlobOwner, "the storage account", "the host has no locks, and no file is kept")
	add(account, app, "the app", roleQueues, "the storage account", "queued messages are not sent")
	add(account, app, "the app", roleTables, "the storage account", "no request is answered")
	add(f.service.value.ID, app, "the app", roleSends, "the Communication Services resource", "nothing is sent")
	if name := secretName(f.secret()); name != "" && f.vault.value.ID != "" && f.vault.value.Properties.Roles {
		add(f.vault.value.ID.Child("secrets", name), app, "the app", roleSecrets, "the secret of the master key", "the handler does not start")
	}
	if f.component.value.Properties.DisableLocalAuth {
		add(f.component.value.ID, app, "the app", roleMetrics, "Application Insights", "there is no telemetry")
	}
	if account != "" {
		topic := f.topic.value.Identity.PrincipalID
		add(account.Child("queueServices", "default").Child("queues", reportsQueue), topic, "Event Grid", roleQueueSender, "the queue of reports", "delivery reports do not arrive")
		add(account.Child("blobServices", "default").Child("containers", deadEvents), topic, "Event Grid", roleBlobs, "the container of dead events", "undeliverable reports are lost")
	}
	return needs
}

// secretName is the name in https://VAULT/secrets/NAME/VERSION.
func secretName(address string) string {
	_, rest, _ := strings.Cut(address, "/secrets/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// assign is the line that gives a role.
func (n roleNeed) assign() string {
	return fmt.Sprintf("az role assignment create --assignee-object-id %s --assignee-principal-type ServicePrincipal --role %q --scope %s", word(n.principal), n.name, word(string(n.scope)))
}

func (f *facts) checkIdentity(a *area) {
	site, ok := known(a, f.site, "identity", deployAgain)
	if !ok {
		return
	}
	client := f.setting("AZURE_CLIENT_ID")
	switch {
	case f.principal() != "":
		a.green("the app has its identity")
	case client != "":
		a.red(f.set("AZURE_CLIENT_ID=CLIENT-ID-OF-THE-IDENTITY"), "AZURE_CLIENT_ID names no identity of the app")
	case len(site.Identity.UserAssigned) > 0:
		a.red(f.set("AZURE_CLIENT_ID="+f.client()), "AZURE_CLIENT_ID is missing: the app has a user-assigned identity, but the settings do not name it")
	default:
		a.red("az functionapp identity assign"+f.app(), "the app has no identity")
	}
	f.checkRoles(a, false) // places that are not known are told of by their own areas
}

// checkRoles looks at what the app needs, or at what the events do.
func (f *facts) checkRoles(a *area, ofTopic bool) {
	for _, n := range f.needs {
		if n.ofTopic != ofTopic {
			continue
		}
		assigned, ok := known(a, *f.roles[n.holding], fmt.Sprintf("role %s of %s", n.name, n.who), deployAgain)
		switch {
		case !ok:
		case n.assignedIn(assigned):
			a.green("%s has the role %s", n.who, n.name)
		case n.role.id == roleSends.id && len(assigned) > 0:
			a.yellow(n.assign(), "%s has roles other than %s on %s: these may not allow sending", n.who, n.name, n.where)
		default:
			a.red(n.assign(), "%s lacks the role %s on %s: %s", n.who, n.name, n.where, n.without)
		}
	}
}

func (n roleNeed) assignedIn(assigned []azure.RoleAssignment) bool {
	return slices.ContainsFunc(assigned, func(a azure.RoleAssignment) bool {
		id := strings.ToLower(a.Properties.Role.Name())
		return id == n.id || slices.Contains(n.within, id)
	})
}
