package azure

import (
	"context"
	"strings"
)

// RoleAssignment is a role that somebody has at a scope.
type RoleAssignment struct {
	Properties struct {
		Role      ID     `json:"roleDefinitionId"`
		Principal string `json:"principalId"`
		Scope     string `json:"scope"`
	} `json:"properties"`
}

// RoleAssignments are those that a principal has at a scope or above it, by itself or
// by a group.
func (c *Client) RoleAssignments(ctx context.Context, scope ID, principal string) ([]RoleAssignment, error) {
	all, err := list[RoleAssignment](ctx, c, request{
		what: "read the roles on " + scope.Name(), path: string(scope) + "/providers/Microsoft.Authorization/roleAssignments",
		version: versionAuthorization, query: map[string]string{"$filter": "assignedTo('" + principal + "')"},
	})
	var here []RoleAssignment // Azure lists what is below, too
	for _, a := range all {
		above := strings.ToLower(strings.TrimSuffix(a.Properties.Scope, "/"))
		if strings.HasPrefix(strings.ToLower(string(scope))+"/", above+"/") {
			here = append(here, a)
		}
	}
	return here, err
}
