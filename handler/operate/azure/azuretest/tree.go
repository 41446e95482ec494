package azuretest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// typeOf is the type of a resource by its id: Microsoft.Communication/emailServices/domains.
func typeOf(id string) string {
	_, below, found := strings.Cut(id, "/providers/")
	if !found {
		return ""
	}
	parts := strings.Split(below, "/")
	kinds := parts[:1]
	for i := 1; i < len(parts); i += 2 {
		kinds = append(kinds, parts[i])
	}
	return strings.Join(kinds, "/")
}

// tree answers from the resources, as ARM does.
func (f *Fake) tree(q Request) Answer {
	path := strings.ToLower(q.Path)
	here, exists := f.resources[path]
	switch {
	case strings.HasPrefix(path, "/operations/"):
		return f.operation(path)
	case q.Method == http.MethodPost:
		return f.action(q, path)
	case strings.HasSuffix(path, "/config/appsettings") && q.Method == http.MethodPut:
		f.settings[strings.TrimSuffix(path, "/config/appsettings")] = child(q.Body, "properties")
		return Answer{Status: http.StatusOK, Body: q.Body}
	case q.Method == http.MethodGet && strings.HasSuffix(path, roleAssignments):
		return f.roles(q)
	case q.Method == http.MethodGet && exists:
		f.verify(here)
		return Answer{Status: http.StatusOK, Body: here, Header: map[string]string{"ETag": text(here, "etag")}}
	case q.Method == http.MethodGet:
		return f.list(q, path)
	case q.Method == http.MethodDelete && exists:
		delete(f.resources, path)
		return Answer{Status: http.StatusOK}
	case q.Method == http.MethodDelete:
		return Answer{Status: http.StatusNoContent}
	case q.IfMatch != "" && exists && q.IfMatch != here["etag"]:
		return failure(http.StatusPreconditionFailed, "PreconditionFailed", "The resource was changed.")
	case q.Method == http.MethodPatch && !exists:
		return notFound(q.Path)
	case q.Method == http.MethodPatch:
		return f.change(q, here)
	case q.Method == http.MethodPut:
		return f.create(q, exists)
	}
	return failure(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed.")
}

func notFound(id string) Answer {
	return failure(http.StatusNotFound, "ResourceNotFound", fmt.Sprintf("The Resource '%s' was not found.", strings.TrimPrefix(id, "/")))
}

// pageSize is small, so that every list of a test has pages.
const pageSize = 2

// list answers with the resources right below a collection, in pages.
func (f *Fake) list(q Request, path string) Answer {
	var found []Object
	for _, id := range slices.Sorted(maps.Keys(f.resources)) {
		o := f.resources[id]
		if belongs(id, o, path) && tagged(o, q.Query["$filter"]) {
			found = append(found, o)
		}
	}
	// A collection below something that is not there is not there either.
	parent := path[:max(0, strings.LastIndexByte(path, '/'))]
	if _, below, typed := strings.Cut(parent, "/providers/microsoft."); len(found) == 0 && typed && strings.Contains(below, "/") && f.resources[parent] == nil {
		return notFound(q.Path)
	}
	var first int
	if _, err := fmt.Sscan(q.Query["$skiptoken"], &first); err != nil {
		first = 0
	}
	first = min(first, len(found))
	page := Object{"value": append([]Object{}, found[first:min(first+pageSize, len(found))]...)}
	if first+pageSize < len(found) {
		page["nextLink"] = fmt.Sprintf("%s%s?api-version=%s&$skiptoken=%d&$filter=%s", f.server.URL, q.Path, q.Query["api-version"], first+pageSize, strings.ReplaceAll(q.Query["$filter"], " ", "%20"))
	}
	return Answer{Status: http.StatusOK, Body: page}
}

// belongs tells whether a resource stands in the list at path: of all subscriptions, of
// a subscription or a group, of one type in a subscription, or of children.
func belongs(id string, o Object, path string) bool {
	kind := strings.ToLower(text(o, "type"))
	switch {
	case path == "/subscriptions":
		return strings.Count(id, "/") == 2
	case strings.HasSuffix(path, "/resources"):
		return strings.HasPrefix(id, strings.TrimSuffix(path, "resources")) && strings.Count(kind, "/") == 1
	}
	if above, below, found := strings.Cut(path, "/providers/"); found && strings.Count(below, "/") == 1 && kind == below {
		return strings.HasPrefix(id, above+"/")
	}
	rest, found := strings.CutPrefix(id, path+"/")
	return found && !strings.Contains(rest, "/")
}

// tagged knows the one form of filter: tagName eq 'N' and tagValue eq 'V'.
func tagged(o Object, filter string) bool {
	if filter == "" {
		return true
	}
	parts := strings.Split(filter, "'")
	return len(parts) == 5 && child(o, "tags")[parts[1]] == parts[3]
}

func text(o Object, name string) string {
	s, _ := o[name].(string)
	return s
}

func child(o Object, name string) Object {
	c, _ := o[name].(Object)
	if c == nil {
		c = Object{}
	}
	return c
}

// change merges properties and tags.
func (f *Fake) change(q Request, here Object) Answer {
	properties := maps.Clone(child(here, "properties"))
	maps.Copy(properties, child(q.Body, "properties"))
	if problem := f.unlinkable(properties); problem != "" {
		return failure(http.StatusBadRequest, "DomainValidationError", problem)
	}
	changed := maps.Clone(here)
	changed["properties"] = properties
	if q.Body["tags"] != nil {
		changed["tags"] = q.Body["tags"]
	}
	f.put(text(here, "id"), changed)
	return Answer{Status: http.StatusOK, Body: f.resources[strings.ToLower(q.Path)]}
}

// unlinkable names a linked domain that is not there or not verified.
func (f *Fake) unlinkable(properties Object) string {
	linked, _ := properties["linkedDomains"].([]any)
	for _, id := range linked {
		var d azure.Domain
		o, exists := f.resources[strings.ToLower(fmt.Sprint(id))]
		if exists {
			d = domainOf(o)
		}
		if !exists || !d.Verified() {
			return fmt.Sprintf("Requested domain is not in a valid state for linking: %v", id)
		}
	}
	return ""
}

func domainOf(o Object) (d azure.Domain) {
	d.ID = azure.ID(fmt.Sprint(o["id"]))
	p := child(o, "properties")
	d.Properties.Management = fmt.Sprint(p["domainManagement"])
	d.Properties.States = map[string]azure.VerificationState{}
	for kind, state := range child(p, "verificationStates") {
		s, _ := state.(Object)
		d.Properties.States[kind] = azure.VerificationState{Status: fmt.Sprint(s["status"])}
	}
	return d
}

// create makes or replaces a resource. What a PUT does not say of a Communication
// Services resource is empty afterwards: the worst that Azure may do.
func (f *Fake) create(q Request, exists bool) Answer {
	kind := strings.ToLower(typeOf(q.Path))
	parent := string(azure.ID(q.Path).Parent())
	if strings.Count(kind, "/") > 1 && f.resources[strings.ToLower(parent)] == nil {
		return failure(http.StatusNotFound, "ParentResourceNotFound", fmt.Sprintf("Failed to perform 'write' on resource(s) of type '%s', because the parent resource '%s' could not be found.", typeOf(q.Path), parent))
	}
	o := maps.Clone(q.Body)
	if kind == "microsoft.communication/emailservices/domains" {
		if exists {
			return Answer{Status: http.StatusOK, Body: f.resources[strings.ToLower(q.Path)]}
		}
		o["properties"] = f.domain(azure.ID(q.Path).Name(), child(q.Body, "properties"))
		f.put(q.Path, o)
		begun := maps.Clone(child(o, "properties"))
		begun["provisioningState"] = "Creating" // or the SDK asks for no operation
		return Answer{Status: http.StatusCreated, Body: Object{"properties": begun}, Header: map[string]string{
			"Azure-AsyncOperation": f.server.URL + "/operations/" + azure.ID(q.Path).Name() + "?api-version=1",
		}}
	}
	if problem := f.unlinkable(child(o, "properties")); problem != "" {
		return failure(http.StatusBadRequest, "DomainValidationError", problem)
	}
	f.put(q.Path, o)
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
	}
	return Answer{Status: status, Body: f.resources[strings.ToLower(q.Path)]}
}

// domain is what a new domain gets: records as ACS gives them, and nothing verified.
func (f *Fake) domain(name string, properties Object) Object {
	records := Object{
		"Domain": Object{"type": "TXT", "name": name, "value": "ms-domain-verification=11111111-2222-3333-4444-555555555555", "ttl": 3600},
		"SPF":    Object{"type": "TXT", "name": name, "value": "v=spf1 include:spf.protection.outlook.com -all", "ttl": 3600},
		"DKIM":   Object{"type": "CNAME", "name": "selector1-azurecomm-prod-net._domainkey", "value": "selector1-azurecomm-prod-net._domainkey.azurecomm.net", "ttl": 3600},
		"DKIM2":  Object{"type": "CNAME", "name": "selector2-azurecomm-prod-net._domainkey", "value": "selector2-azurecomm-prod-net._domainkey.azurecomm.net", "ttl": 3600},
	}
	states := Object{}
	for _, kind := range append(azure.Verifications(), "DMARC") {
		states[kind] = Object{"status": azure.StatusNotStarted}
	}
	properties = maps.Clone(properties)
	maps.Copy(properties, Object{
		"verificationRecords": records, "verificationStates": states, "fromSenderDomain": name, "mailFromSenderDomain": name,
		"provisioningState": "Succeeded", "dataLocation": "Europe",
	})
	return properties
}

// operation says once that it goes on, then that it is done.
func (f *Fake) operation(path string) Answer {
	f.asked[path]++
	if f.asked[path] == 1 {
		return Answer{Status: http.StatusOK, Body: Object{"status": "InProgress"}, Header: map[string]string{"Retry-After-Ms": "1"}}
	}
	return Answer{Status: http.StatusOK, Body: Object{"status": "Succeeded"}}
}

func (f *Fake) action(q Request, path string) Answer {
	if site, found := strings.CutSuffix(path, "/config/appsettings/list"); found {
		return Answer{Status: http.StatusOK, Body: Object{"properties": child(Object{"of": f.settings[site]}, "of")}}
	}
	domain, action := path[:strings.LastIndexByte(path, '/')], path[strings.LastIndexByte(path, '/')+1:]
	here, exists := f.resources[domain]
	states := child(child(here, "properties"), "verificationStates")
	kind := fmt.Sprint(q.Body["verificationType"])
	state, known := states[kind].(Object)
	switch {
	case !exists:
		return notFound(domain)
	case action != "initiateverification" && action != "cancelverification" || !known:
		return failure(http.StatusBadRequest, "BadRequest", "The action or the verification type is not known.")
	case action == "cancelverification":
		states[kind] = Object{"status": azure.StatusNotStarted}
	case state["status"] == "VerificationInProgress":
		return failure(http.StatusConflict, "Conflict", "A verification is in progress.")
	case kind != azure.VerifyDomain && domainOf(here).Properties.States[azure.VerifyDomain].Status != azure.StatusVerified:
		return failure(http.StatusBadRequest, "DomainNotVerified", "The ownership of the domain is not verified.")
	default:
		states[kind] = Object{"status": "VerificationInProgress"}
	}
	return Answer{Status: http.StatusAccepted, Header: map[string]string{"Location": f.server.URL + "/operations/v?api-version=1", "Retry-After": "1"}}
}

// verify ends what is under way: the second read of a domain sees the outcome.
func (f *Fake) verify(here Object) {
	states := child(child(here, "properties"), "verificationStates")
	for kind, state := range states {
		s, _ := state.(Object)
		if s["status"] != "VerificationInProgress" {
			continue
		}
		switch {
		case s["seen"] == nil:
			states[kind] = Object{"status": s["status"], "seen": true}
		case f.dns(text(here, "name"), kind):
			states[kind] = Object{"status": azure.StatusVerified}
		default:
			states[kind] = Object{"status": azure.StatusFailed, "errorCode": "RecordNotFound"}
		}
	}
}
