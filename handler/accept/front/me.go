package front

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/caller"
)

// me is what a caller may know of itself.
type me struct {
	Name   string        `json:"name"`
	Proof  string        `json:"proof"`
	Policy caller.Policy `json:"policy"`
}

// whoAmI tells a caller that its key, signature or token is good, and what it may
// do. It sends nothing and costs no quota, so it is what a connection is tested by.
func (f *front) whoAmI(w http.ResponseWriter, req *http.Request) error {
	proof, err := f.authenticate(w, req)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", me{proof.Caller.Name, proof.By, proof.Caller.Policy})
	return nil
}
