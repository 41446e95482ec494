package azuretest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const roleAssignments = "/providers/microsoft.authorization/roleassignments"

// Assign gives a principal a role at a scope. The role is the GUID of its definition.
func (f *Fake) Assign(scope, principal, role string) {
	f.Put(fmt.Sprintf("%s/providers/Microsoft.Authorization/roleAssignments/%s-%s", scope, principal, role), Object{
		"type": "Microsoft.Authorization/roleAssignments",
		"properties": Object{
			"scope": scope, "principalId": principal,
			"roleDefinitionId": "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/" + role,
		},
	})
}

// Unassign takes a role away, wherever it is.
func (f *Fake) Unassign(principal, role string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.resources, func(id string, _ Object) bool {
		return strings.HasSuffix(id, strings.ToLower("/roleAssignments/"+principal+"-"+role))
	})
}

// roles lists those of the filter's principal at a scope, above it and below it.
func (f *Fake) roles(q Request) Answer {
	scope := strings.TrimSuffix(strings.ToLower(q.Path), roleAssignments)
	principal, found := strings.CutPrefix(q.Query["$filter"], "assignedTo('")
	if !found {
		return failure(http.StatusBadRequest, "UnsupportedFilter", "The filter is not supported.")
	}
	all := []Object{}
	for _, id := range slices.Sorted(maps.Keys(f.resources)) {
		at, _, assignment := strings.Cut(id, roleAssignments+"/")
		mine := fmt.Sprint(child(f.resources[id], "properties")["principalId"]) == strings.TrimSuffix(principal, "')")
		if assignment && mine && (strings.HasPrefix(scope+"/", at+"/") || strings.HasPrefix(at, scope+"/")) {
			all = append(all, f.resources[id])
		}
	}
	return Answer{Status: http.StatusOK, Body: Object{"value": all}}
}

// Delete takes a resource away, with all below it.
func (f *Fake) Delete(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id = strings.ToLower(id)
	maps.DeleteFunc(f.resources, func(at string, _ Object) bool { return at == id || strings.HasPrefix(at, id+"/") })
}

// Change has some properties of a resource be others.
func (f *Fake) Change(id string, properties Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := maps.Clone(f.resources[strings.ToLower(id)])
	all := maps.Clone(child(o, "properties"))
	maps.Copy(all, properties)
	o["properties"] = all
	f.put(fmt.Sprint(o["id"]), o)
}
