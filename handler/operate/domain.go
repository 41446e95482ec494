package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

type domainCommands struct {
	Add     addDomain     `cmd:"" help:"Add a domain to the Email Service."`
	Records recordsDomain `cmd:"" help:"Print the DNS records that a domain needs."`
	Check   checkDomain   `cmd:"" help:"Check the DNS records of a domain at its name servers."`
	Verify  verifyDomain  `cmd:"" help:"Ask ACS to verify a domain, and wait for the result."`
	Link    linkDomain    `cmd:"" help:"Allow the deployment to send from a domain."`
	Unlink  unlinkDomain  `cmd:"" help:"Stop the deployment from sending from a domain."`
	Status  statusDomain  `cmd:"" help:"Show the state of a domain."`
	List    listDomains   `cmd:"" help:"List all domains of the Email Service."`
}

// managedName is what ACS calls a domain of Azure's own.
const managedName = "AzureManagedDomain"

// domainWord is how a person names a domain: the name of one of the connected Email
// Service, AzureManagedDomain, or the resource id of any. It is read before all else.
type domainWord string

// UnmarshalText reads what stands behind a command.
func (w *domainWord) UnmarshalText(text []byte) error {
	word := strings.TrimSpace(string(text))
	switch {
	case strings.EqualFold(word, managedName):
		*w = managedName
		return nil
	case strings.HasPrefix(word, "/"):
		id, err := azure.ParseID(word)
		if parts := strings.Split(strings.ToLower(word), "/"); err == nil && (len(parts) != 11 || parts[7] != "emailservices" || parts[9] != "domains") {
			err = fmt.Errorf("%q is no domain of an Email Service", word)
		}
		*w = domainWord(id)
		return err
	}
	word = strings.ToLower(strings.TrimSuffix(word, "."))
	*w = domainWord(word)
	return unfit(word)
}

// longestDomain is in bytes: the name of a DKIM record is 40 longer, and ends at 253.
const longestDomain = 253 - len("selector1-azurecomm-prod-net._domainkey.")

// unfit says why a name can be no domain of a sender.
func unfit(name string) error {
	ascii, ok := dns.Name(name)
	suffix, icann := publicsuffix.PublicSuffix(name)
	switch {
	case strings.ContainsAny(name, "@/:"):
		return fmt.Errorf("%q is an address: give the domain alone", name)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q is a wildcard: ACS wants each domain by its name", name)
	case ok && ascii != name:
		return fmt.Errorf("%q has letters that DNS does not know: write %s", name, ascii)
	case len(name) > longestDomain:
		return fmt.Errorf("the name has %d characters: its DKIM records leave room for %d", len(name), longestDomain)
	case !ok:
		return fmt.Errorf("%q is no domain", name)
	case name == "azurecomm.net" || strings.HasSuffix(name, ".azurecomm.net"):
		return fmt.Errorf("%q belongs to Microsoft: the Azure-managed domain is called %s", name, managedName)
	case icann && suffix == name:
		return fmt.Errorf("%q is a public suffix, under which others register: name a domain of yours", name)
	}
	return nil
}

// id is the resource that the word means.
func (w domainWord) id(emailService azure.ID) azure.ID {
	if strings.HasPrefix(string(w), "/") {
		return azure.ID(w)
	}
	return emailService.Child("domains", string(w))
}

// domainName is the one word that most commands want.
type domainName struct {
	Name domainWord `arg:"" help:"The domain."`
}

// read is the domain as Azure has it.
func (n domainName) read(ctx context.Context, cl cloud) (azure.Domain, error) {
	if cl.at.EmailService == "" {
		return azure.Domain{}, errNoEmailService
	}
	id := n.Name.id(cl.at.EmailService)
	d, err := cl.Domain(ctx, id)
	d.ID = cmp.Or(d.ID, id)
	if fault, ok := errors.AsType[*azure.Error](err); ok && fault.Code == "ResourceNotFound" && azure.SameID(id.Parent(), cl.at.EmailService) {
		fault.Code, fault.Message = "", fmt.Sprintf("the Email Service %s has no such domain. \"posthorn domain add %s\" adds it", id.Parent().Name(), n.Name)
	}
	return d, err
}

// own is read for commands on verification. The managed domain has no verification.
func (n domainName) own(ctx context.Context, cl cloud) (azure.Domain, error) {
	d, err := n.read(ctx, cl)
	if err == nil && d.Managed() {
		err = usageError("the Azure-managed domain needs no records: Azure has verified it")
	}
	return d, err
}

// A deployment that was begun may lack a part.
var (
	errNoEmailService = errors.New("the deployment has no Email Service. Finish the deployment, then run \"posthorn connect\" again")
	errNoService      = errors.New("the deployment has no Communication Services resource. Finish the deployment, then run \"posthorn connect\" again")
)

// nextStep says what comes after the state that a domain is in.
func nextStep(d azure.Domain, named domainWord, linked bool) string {
	is := word(string(named))
	switch {
	case !d.Verified():
		return fmt.Sprintf("Add the records of \"posthorn domain records %s\" to DNS, then run \"posthorn domain verify %s\".", is, is)
	case !linked:
		return fmt.Sprintf("Run \"posthorn domain link %s\".", is)
	}
	return "The domain is verified and linked. Callers may send from it."
}

// isLinked tells whether a domain is in a list.
func isLinked(list []azure.ID, id azure.ID) bool {
	return slices.ContainsFunc(list, func(l azure.ID) bool { return azure.SameID(l, id) })
}

// inDNS is a domain with the records that ACS wants for it.
func inDNS(d azure.Domain) dns.Domain {
	in := dns.Domain{Name: d.ID.Name(), MailFrom: d.Properties.MailFromDomain, Verified: d.Properties.States[azure.VerifySPF].Status == azure.StatusVerified}
	for kind, r := range d.Properties.Records {
		in.Expected = append(in.Expected, dns.Record{Kind: dns.Kind(kind), Type: r.Type, Name: r.Name, Value: r.Value, TTL: r.TTL})
	}
	return in
}

// recordOf is the record that a verification wants, with its name in full.
func recordOf(d azure.Domain, kind string) dns.Record {
	for _, r := range inDNS(d).Records() {
		if r.Kind == dns.Kind(kind) {
			return r
		}
	}
	return dns.Record{}
}
