package azure

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
)

// ID is the path of a resource: /subscriptions/…/resourceGroups/…/providers/….
type ID string

// ParseID checks one that a person gave.
func ParseID(text string) (ID, error) {
	if _, err := arm.ParseResourceID(text); err != nil {
		return "", fmt.Errorf("%q is no resource id of Azure", text)
	}
	return ID(text), nil
}

// Name is the last part.
func (id ID) Name() string { return string(id[strings.LastIndexByte(string(id), '/')+1:]) }

// Child is a resource below.
func (id ID) Child(kind, name string) ID {
	return ID(string(id) + "/" + kind + "/" + url.PathEscape(name))
}

// Parent is what a child resource belongs to; of a domain its Email Service.
func (id ID) Parent() ID {
	parts := strings.Split(string(id), "/")
	return ID(strings.Join(parts[:max(0, len(parts)-2)], "/"))
}

// Subscription is its subscription's id, or empty.
func (id ID) Subscription() string { return id.after("subscriptions") }

// Group is its resource group, or empty.
func (id ID) Group() string { return id.after("resourcegroups") }

func (id ID) after(word string) string {
	parts := strings.Split(string(id), "/")
	for i, p := range parts[:max(0, len(parts)-1)] {
		if strings.EqualFold(p, word) {
			return parts[i+1]
		}
	}
	return ""
}
