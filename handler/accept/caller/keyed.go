package caller

import (
	"net/http"
	"slices"
)

// Keyed says whether a request has a key of any kind, right or wrong: some APIs
// answer one without differently from one whose key is not valid.
func Keyed(h http.Header) bool {
	return h.Get("Authorization") != "" || slices.ContainsFunc(keyHeaders, func(name string) bool { return h.Get(name) != "" })
}
