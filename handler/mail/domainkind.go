package mail

import "strings"

// DomainKind says who manages the domain of a sender. ACS limits each kind by itself.
type DomainKind int

// The kinds of domain.
const (
	CustomDomain  DomainKind = iota // the operator's own
	ManagedDomain                   // Azure's, which Microsoft calls Azure-managed
)

// managedZone holds every Azure-managed domain. Source: learn.microsoft.com, "How to add Azure
// Managed Domains to Email Communication Service".
const managedZone = ".azurecomm.net"

// DomainKindOf is that of a sender's address.
func DomainKindOf(sender string) DomainKind {
	if strings.HasSuffix(strings.ToLower(sender), managedZone) {
		return ManagedDomain
	}
	return CustomDomain
}

// String is the word of metrics and wake-up messages.
func (k DomainKind) String() string {
	if k == ManagedDomain {
		return "managed"
	}
	return "custom"
}
