package mail

import (
	"errors"
	"strings"
)

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

// String is the word for a kind in storage, metrics and logs.
func (k DomainKind) String() string {
	if k == ManagedDomain {
		return "managed"
	}
	return "custom"
}

// MarshalText implements encoding.TextMarshaler.
func (k DomainKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *DomainKind) UnmarshalText(text []byte) error {
	for _, kind := range []DomainKind{CustomDomain, ManagedDomain} {
		if string(text) == kind.String() {
			*k = kind
			return nil
		}
	}
	return errors.New("this is no kind of domain") // the text may be anybody's, and errors are logged
}
