// Package guard keeps other people's web pages away from the tools of a developer's
// machine: a page may have its name point at 127.0.0.1 and then read what listens there
// ("DNS rebinding"), or post to it from afar.
//
// In: a request. Out: a sentence that refuses it, or nothing. It does not ask who calls:
// whatever runs on the machine may. The gateway itself is not guarded, since it has keys.
package guard

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Names are what a tool may be called. An IP address and localhost always are: no page
// has a name of its own among them.
type Names struct {
	More    []string // without a port, in any case
	Setting string   // where a developer adds one, for the sentence
}

// Hosts are the names in addresses to listen at, and of a list with commas.
func Hosts(list string, addresses ...string) []string {
	var all []string
	for name := range strings.SplitSeq(list, ",") {
		all = append(all, bare(strings.TrimSpace(name)))
	}
	for _, address := range addresses {
		all = append(all, bare(address))
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// bare is a host without its port, its brackets and the dot at its end.
func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// Refuses is why a request is not answered; "" if it is. A browser names the host that
// the page knows, and says with what changes something whether another site's page asks.
func (n Names) Refuses(r *http.Request) string {
	name := bare(r.Host)
	known := name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(name) != nil
	switch {
	case !known && !slices.ContainsFunc(n.More, func(own string) bool { return bare(own) == name }):
		return fmt.Sprintf("This local tool answers to localhost, to IP addresses and to the names in %s. The request names another host; add the name there if it is yours.", n.Setting)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions && r.Header.Get("Sec-Fetch-Site") == "cross-site":
		return "A page of another site asks for this. It can be done from the tool's own page, or from a shell."
	}
	return ""
}

// Only lets next answer what Refuses lets pass, and answers 403 to the rest.
func (n Names) Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := n.Refuses(r); reason != "" {
			http.Error(w, reason, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
