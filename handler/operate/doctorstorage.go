package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/wiring"
)

func (f *facts) checkStorage(a *area) {
	account, ok := known(a, f.account, "storage account", deployAgain)
	if !ok {
		return
	}
	f.checkAccount(a, account)
	f.checkContainers(a)
	f.checkNamed(a, f.queues, "queue", wiring.DispatchQueue)
	f.checkNamed(a, f.tables, "table", wiring.CallersTable, wiring.HooksTable, wiring.RecordsTable, wiring.LinksTable, wiring.QueueTable, wiring.DeadLettersTable, wiring.QuotaTable)
	f.checkOwnRights(a, account)
}

// checkAccount looks at what the account lets in.
func (f *facts) checkAccount(a *area, account azure.Account) {
	p := account.Properties
	update := "az storage account update --ids " + word(string(account.ID))
	if p.SharedKeys == nil || *p.SharedKeys {
		a.yellow(update+" --allow-shared-key-access false", "shared keys work: anyone with a key reads and writes everything")
	} else {
		a.green("shared keys are off")
	}
	if p.PublicBlobs != nil && *p.PublicBlobs {
		a.yellow(update+" --allow-blob-public-access false", "containers may be made public")
	} else {
		a.green("no container can be public")
	}
	if p.MinimumTLS != "TLS1_2" && p.MinimumTLS != "TLS1_3" || !p.HTTPSOnly {
		a.yellow(update+" --min-tls-version TLS1_2 --https-only true", "HTTP, or TLS older than 1.2, is accepted")
	} else {
		a.green("TLS 1.2 is the least")
	}
	switch closed := p.Network.Default == "Deny" || p.PublicNetwork == "Disabled"; {
	case closed && !strings.Contains(p.Network.Bypass, "AzureServices"):
		a.red(update+" --bypass AzureServices", "the account is private and blocks trusted services: Event Grid cannot deliver reports")
	case closed:
		a.green("it is private")
	default:
		a.green("every network reaches it, and only identities have access")
	}
}

func (f *facts) checkContainers(a *area) {
	list, ok := known(a, f.containers, "containers", deployAgain)
	if !ok {
		return
	}
	private := true
	for _, c := range list {
		if p := c.Properties.PublicAccess; p == "" || p == "None" {
			continue
		}
		private = false
		if allowed := f.account.value.Properties.PublicBlobs; allowed != nil && !*allowed {
			a.yellow("Set its access level to private in the Azure portal.", "the container %s is marked as public; only the account keeps it private", c.ID.Name())
		} else { // the data plane would want a key for it, and keys are off
			a.red("az storage account update --ids "+word(string(f.account.value.ID))+" --allow-blob-public-access false", "the container %s is public: anyone can read it", c.ID.Name())
		}
	}
	if private {
		a.green("no container is public")
	}
	names := read[[]azure.Resource]{done: true}
	for _, c := range list {
		names.value = append(names.value, azure.Resource{ID: c.ID})
	}
	f.checkNamed(a, names, "container", wiring.FilesContainer, wiring.MessagesContainer)
}

// checkNamed tells which are missing. Posthorn makes its own at their first use, so that
// a deployment that nobody has used lacks all tables.
func (f *facts) checkNamed(a *area, list read[[]azure.Resource], kind string, names ...string) {
	there, ok := known(a, list, kind+"s", deployAgain)
	if !ok {
		return
	}
	var missing []string
	for _, name := range names {
		if !slices.ContainsFunc(there, func(r azure.Resource) bool { return r.ID.Name() == name }) {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		a.green("all %ss exist", kind)
	case kind == "table" && len(missing) == len(names):
		a.green("no table exists yet: the first use creates them")
	default:
		a.yellow("The first use creates it. If the app was used already, check the roles of its identity.", "missing %ss: %s", kind, strings.Join(missing, ", "))
	}
}

// checkOwnRights tries what the commands for callers and messages need of this account.
func (f *facts) checkOwnRights(a *area, account azure.Account) {
	answer, ok := known(a, f.rows, "your own rights on storage", "Check POSTHORN_TABLE_ENDPOINT.")
	switch {
	case !ok:
	case answer.Status == http.StatusOK, answer.Status == http.StatusNotFound: // no table yet
		a.green("you may read it")
	case answer.Status == http.StatusForbidden && account.Properties.Network.Default == "Deny":
		a.yellow("Run the commands for callers and messages inside of its network.", "this computer's network, or your account, may not read the tables")
	case answer.Status == http.StatusForbidden, answer.Status == http.StatusUnauthorized:
		a.yellow("az role assignment create --assignee YOUR-ACCOUNT --role \""+roleTables.name+"\" --scope "+word(string(account.ID)), "you may not read the tables: commands for callers, hooks and messages do not work for you")
	default:
		a.yellow("Run doctor again.", "your own rights on storage: not checked: it answers %d", answer.Status)
	}
}
