package mail

import "testing"

func TestTheSenderDecidesOnTheKindOfDomain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sender string
		want         DomainKind
	}{
		{"the Azure-managed domain", "donotreply@0b5d1e5c-7a3e-4f0e-9d57-1f6b2b7d3c11.azurecomm.net", ManagedDomain},
		{"one of a region", "donotreply@0b5d1e5c.us1.azurecomm.net", ManagedDomain},
		{"in upper case", "DoNotReply@0B5D1E5C.AzureComm.NET", ManagedDomain},
		{"a domain of the operator", "donotreply@example.com", CustomDomain},
		{"a subdomain of the operator", "donotreply@mail.example.com", CustomDomain},
		{"Azure's name below another domain", "donotreply@x.azurecomm.net.example", CustomDomain},
		{"Azure's name as the end of another", "donotreply@notazurecomm.net", CustomDomain},
		{"Azure's name behind a hyphen", "donotreply@x-azurecomm.net", CustomDomain},
		{"Azure's name as a label", "donotreply@azurecomm.net.example.com", CustomDomain},
		{"Azure's name in the local part", "x.azurecomm.net@example.com", CustomDomain},
		{"another of Azure's zones", "donotreply@x.azurecomm.com", CustomDomain},
		{"the zone itself, in which nobody has a sender", "donotreply@azurecomm.net", CustomDomain},
		{"no sender", "", CustomDomain},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := DomainKindOf(c.sender); got != c.want {
				t.Errorf("%q is %v, want %v", c.sender, got, c.want)
			}
		})
	}
}
