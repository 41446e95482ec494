package rest

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/problem"
)

// resultURL is where a client waits that knows HTTP alone and not ACS: Location
// says it, and 202 there means that it has to wait on. Source: learn.microsoft.com,
// "Asynchronous request-response behavior" (Azure Logic Apps, HTTP action).
func (a *api) resultURL(id string) string {
	return a.operations + id + "/result"
}

// result is the end of a message: 202 until it has come, then 200, or a problem if
// the message did not go out. A workflow that waits for it fails as it should then,
// and does not ask again.
func (a *api) result(w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error {
	found, err := a.Gateway.Find(req.Context(), c, id)
	if err != nil {
		return err
	}
	markSandbox(w, found.Record)
	switch o := describe(found); o.Status {
	case "Running":
		w.Header().Set("Location", a.resultURL(found.ID))
		w.Header().Set("Retry-After", a.askAgain(found))
		writeJSON(w, http.StatusAccepted, "application/json", o)
		return nil
	case "Succeeded":
		writeJSON(w, http.StatusOK, "application/json", o)
		return nil
	default:
		return unsuccessful(o)
	}
}

// unsuccessful is the end of a message that did not go out, as a problem.
func unsuccessful(o operation) error {
	if o.Error == nil {
		return problem.New(problem.MessageFailed, "The message was cancelled before it was sent.")
	}
	p := problem.New(problem.MessageFailed, "%s", o.Error.Message)
	p.Upstream = o.Error.Code
	return p
}
