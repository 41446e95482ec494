package dns

import "fmt"

// Form is how records are written.
type Form string

// The forms.
const (
	Plain      Form = "plain"      // a table for people who type
	ZoneFile   Form = "zone"       // RFC 1035, names in full
	AzureDNS   Form = "az"         // lines of az network dns, the same in sh and PowerShell
	Cloudflare Form = "cloudflare" // a zone file for Import, with the proxy off
	Route53    Form = "route53"    // a change batch for aws route53 change-resource-record-sets
)

// Format writes records, whose names are in full, for the zone that holds them.
// Records of KindNone stand already: forms that replace a whole set repeat them, others
// leave them out. It fails if a name is outside of the zone.
func Format(form Form, zone string, records []Record) (string, error) {
	return "", fmt.Errorf("form %s is not known", form)
}
