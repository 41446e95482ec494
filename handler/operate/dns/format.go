package dns

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
)

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

// Forms are all of them.
func Forms() []Form { return []Form{Plain, ZoneFile, AzureDNS, Cloudflare, Route53} }

// Format writes records, whose names are in full, for the zone that holds them.
// Records of KindNone stand already: Route53, which replaces a whole set, repeats them;
// the others leave them out. An SPF record takes the place of those that stand.
// It fails if a name is outside of the zone, or a value has a character that no such
// record has.
func Format(form Form, zone string, records []Record) (string, error) {
	var fresh []Record
	for _, r := range records {
		if !within(canonical(r.Name), canonical(zone)) {
			return "", fmt.Errorf("%s is not in the zone %s", r.Name, zone)
		}
		if r.Type != "TXT" && r.Type != "CNAME" {
			return "", fmt.Errorf("a record of type %s cannot be written", r.Type)
		}
		if r.Kind == KindNone {
			continue
		}
		if !plainName.MatchString(r.Name) || !plainName.MatchString(zone) {
			return "", fmt.Errorf("the name %s has a character that does not belong there", shown(r.Name))
		}
		if strings.ContainsFunc(r.Value, func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune("'\"`$\\", c) }) {
			return "", fmt.Errorf("the value of %s has a character that does not belong there", r.Name)
		}
		fresh = append(fresh, r)
	}
	switch form {
	case Plain:
		return plain(zone, fresh), nil
	case ZoneFile:
		return zoneFile(fresh), nil
	case AzureDNS:
		return azureDNS(zone, fresh), nil
	case Cloudflare:
		return ";; DNS > Records > Import and Export. Switch off \"Proxy imported DNS records\".\n" + zoneFile(fresh), nil
	case Route53:
		return route53(records)
	}
	return "", fmt.Errorf("there is no form %q", form)
}

// plainName is what the names of such records, and of their zones, are made of.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// relative is a name as providers want it typed: without the zone, which they add.
func relative(name, zone string) string {
	name, zone = canonical(name), canonical(zone)
	if name == zone {
		return "@"
	}
	return strings.TrimSuffix(name, "."+zone)
}

func plain(zone string, records []Record) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TYPE\tNAME\tVALUE\tTTL")
	for _, r := range records {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", r.Type, relative(r.Name, zone), r.Value, r.TTL)
	}
	_ = w.Flush()
	return b.String() + "\nThe names are relative to the zone " + zone + ". Most providers add it: a full name then becomes …" + zone + "." + zone + ".\n@ is the zone itself. Some providers want an empty name in place of @.\n"
}

func zoneFile(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		value := canonical(r.Value) + "."
		if r.Type == "TXT" {
			value = strings.Join(quoted(r.Value), " ")
		}
		fmt.Fprintf(&b, "%s. %d IN %s %s\n", canonical(r.Name), r.TTL, r.Type, value)
	}
	return b.String()
}

// quoted are the strings of a TXT record: each at most 255 bytes, in the escapes of a
// zone file.
func quoted(value string) []string {
	const most = 255
	var all []string
	for first := true; first || value != ""; first = false {
		var b strings.Builder
		n := min(len(value), most)
		for _, c := range []byte(value[:n]) {
			switch {
			case c == '"' || c == '\\':
				b.WriteString(`\` + string(c))
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		all, value = append(all, `"`+b.String()+`"`), value[n:]
	}
	return all
}

// azureDNS leaves the cutting of long values to az.
func azureDNS(zone string, records []Record) string {
	var b strings.Builder
	for _, r := range records {
		verb, flag := "txt add-record", "-v"
		value := r.Value
		if r.Type == "CNAME" {
			verb, flag, value = "cname set-record", "-c", canonical(r.Value)
		}
		fmt.Fprintf(&b, "az network dns record-set %s -g GROUP -z '%s' -n '%s' %s '%s'\n", verb, zone, relative(r.Name, zone), flag, value)
	}
	return b.String()
}

type (
	route53Value struct{ Value string }
	route53Set   struct {
		Name            string
		Type            string
		TTL             int
		ResourceRecords []route53Value
	}
	route53Change struct {
		Action            string
		ResourceRecordSet *route53Set
	}
)

// route53 gathers records into sets. A set is replaced only if what stands in it is
// known; otherwise it is created, which fails if one stands, and loses nothing.
func route53(records []Record) (string, error) {
	var changes []*route53Change
	sets := map[string]*route53Change{}
	spf := map[string]bool{}
	for _, r := range records {
		spf[canonical(r.Name)] = spf[canonical(r.Name)] || r.Kind == KindSPF
	}
	for _, r := range records {
		name, value := canonical(r.Name), canonical(r.Value)+"."
		if r.Type == "TXT" {
			value = strings.Join(quoted53(r.Value), " ")
		}
		key := name + " " + r.Type
		change := sets[key]
		if change == nil {
			change = &route53Change{"CREATE", &route53Set{Name: name + ".", Type: r.Type, TTL: r.TTL}}
			sets[key], changes = change, append(changes, change)
		}
		if r.Kind == KindNone {
			change.Action = "UPSERT"
			if spf[name] && isSPF(r.Value) {
				continue
			}
		}
		set := change.ResourceRecordSet
		if !containsValue(set.ResourceRecords, value) {
			set.ResourceRecords = append(set.ResourceRecords, route53Value{value})
		}
	}
	text, err := json.MarshalIndent(map[string]any{"Changes": changes}, "", "  ")
	return string(text) + "\n", err
}

func containsValue(all []route53Value, value string) bool {
	for _, v := range all {
		if v.Value == value {
			return true
		}
	}
	return false
}

// quoted53 is quoted in the escapes of Route 53, which are octal.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html#TXTFormat
func quoted53(value string) []string {
	all := quoted(value)
	for i, text := range all {
		var b strings.Builder
		for j := 0; j < len(text); j++ {
			if text[j] == '\\' && j+3 < len(text) && digit(text[j+1]) {
				n, _ := strconv.Atoi(text[j+1 : j+4])
				fmt.Fprintf(&b, `\%03o`, n)
				j += 3
				continue
			}
			b.WriteByte(text[j])
			if text[j] == '\\' && j+1 < len(text) {
				j++
				b.WriteByte(text[j])
			}
		}
		all[i] = b.String()
	}
	return all
}
