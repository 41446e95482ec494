package rest

import (
	"net/http"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
)

// me is what a caller may know of itself.
type me struct {
	Name   string        `json:"name"`
	Proof  string        `json:"proof"`
	Policy caller.Policy `json:"policy"`
	Key    *myKey        `json:"key,omitempty"` // none with a token
}

// myKey is the key that has proved the caller.
type myKey struct {
	Generation int64     `json:"generation"`
	Made       time.Time `json:"made,omitzero"`
}

// whoAmI tells a caller that its key, signature or token is good, and what it may
// do. It sends nothing and costs no quota, so it is what a connection is tested by.
func (a *api) whoAmI(w http.ResponseWriter, req *http.Request) error {
	proof, err := a.authenticate(w, req)
	if err != nil {
		return err
	}
	var key *myKey
	if g := proof.Generation; g > 0 {
		key = &myKey{g, proof.Caller.Made[g]}
	}
	writeJSON(w, http.StatusOK, "application/json", me{proof.Caller.Name, proof.By, proof.Caller.Policy, key})
	return nil
}
