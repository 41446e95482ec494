package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/problem"
)

// file answers a recipient who clicked a link: with the way to a file, the page
// that lists several, or the page that says why there is none.
func (a *api) file(w http.ResponseWriter, req *http.Request) error {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	ctx, cancel := context.WithTimeout(req.Context(), 15*time.Second)
	defer cancel()
	n, err := fileNumber(req.PathValue("number"))
	if err != nil {
		return a.noFile(w, req, err)
	}
	opened, err := a.Gateway.Open(ctx, req.PathValue("token"), n, req.Header.Get("Accept-Language"))
	if err != nil {
		return a.noFile(w, req, err)
	}
	if opened.Page != nil {
		writePage(w, http.StatusOK, opened.Page, opened.Language)
		return nil
	}
	if req.Method == http.MethodGet { // not HEAD: a scanner looks at where it leads
		opened.Downloaded(ctx)
	}
	h.Set("Location", opened.Location)
	w.WriteHeader(http.StatusFound)
	return nil
}

// fileNumber reads a position in the page's list, from 1; no text is 0.
func fileNumber(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || strconv.Itoa(n) != text {
		return 0, problem.New(problem.NotFound, "There is no such link.")
	}
	return n, nil
}

func (a *api) noFile(w http.ResponseWriter, req *http.Request, err error) error {
	p := problem.Of(err)
	if wait := retryAfter(p); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	page, language := offload.Page(p.Kind, req.Header.Get("Accept-Language"), a.Language)
	writePage(w, p.Kind.Status(), page, language)
	return err
}

// writePage shows a page that html/template has made.
func writePage(w http.ResponseWriter, status int, page []byte, language string) {
	h := w.Header()
	h.Set("Content-Language", language)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", offload.PageSecurityPolicy)
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	// A recipient who has gone is no news.
	_, _ = w.Write(page) //nolint:gosec // html/template made it
}

// slotAnswer is an address to which one file may be uploaded.
type slotAnswer struct {
	ID       string    `json:"id"`
	URL      string    `json:"url"`
	Expires  time.Time `json:"expires"`
	MaxBytes int64     `json:"maxBytes"`
}

// slot answers a caller who has a file that is too large for a request.
func (a *api) slot(w http.ResponseWriter, req *http.Request) error {
	if req.ContentLength != 0 && a.tellOldHost(w, req) { // its function has the route's name
		return nil
	}
	if err := a.noBody(w, req); err != nil {
		return err
	}
	proof, err := a.authenticate(w, req)
	if err != nil {
		return err
	}
	s, err := a.Gateway.Slot(req.Context(), proof.Caller)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, "application/json", slotAnswer{s.ID, s.URL, s.Expires, s.MaxBytes})
	return nil
}

// revokeLinks withdraws the links of one message.
func (a *api) revokeLinks(w http.ResponseWriter, req *http.Request, c caller.Caller, id string) error {
	if err := a.Gateway.RevokeLinks(req.Context(), c, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
