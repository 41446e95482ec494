package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/decide/record"
)

const sandboxHeader = "Posthorn-Sandbox"

// markSandbox says on an answer that a message of it was only checked. One without a record
// was not even to be remembered.
func markSandbox(w http.ResponseWriter, r *record.Record) {
	if r == nil || r.Sandbox {
		w.Header().Set(sandboxHeader, "true")
	}
}
