package inbox

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
)

// defaultLimit messages are listed unless the caller asks for another number.
const defaultLimit = 100

func (b *Inbox) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.handlePage)
	mux.HandleFunc("GET /messages/{id}", b.handlePage)
	mux.HandleFunc("GET /messages/{id}/html", b.handleHTML)
	mux.Handle("GET /assets/", b.assets())

	mux.HandleFunc("GET /api/messages", b.handleList)
	mux.HandleFunc("DELETE /api/messages", b.handleClear)
	mux.HandleFunc("GET /api/messages/{id}", b.handleMessage)
	mux.HandleFunc("DELETE /api/messages/{id}", b.handleDelete)
	mux.HandleFunc("GET /api/messages/{id}/request", b.handleRequest)
	mux.HandleFunc("GET /api/messages/{id}/attachments/{n}", b.handleAttachment)
	mux.HandleFunc("GET /api/events", b.handleEvents)
	// No page elsewhere may delete messages.
	return http.NewCrossOriginProtection().Handler(mux)
}

// ServeHTTP answers one call.
func (b *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	// What does not say otherwise may do nothing if it is opened in a browser.
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	b.mux.ServeHTTP(w, r)
}

func (b *Inbox) handleList(w http.ResponseWriter, r *http.Request) {
	limit, ok := limitOf(r)
	if !ok {
		writeError(w, http.StatusBadRequest, "limit must be a number above 0.")
		return
	}
	writeJSON(w, http.StatusOK, b.list(r.URL.Query().Get("query"), limit))
}

func limitOf(r *http.Request) (int, bool) {
	given := r.URL.Query().Get("limit")
	if given == "" {
		return defaultLimit, true
	}
	n, err := strconv.Atoi(given)
	return n, err == nil && n > 0
}

func (b *Inbox) handleMessage(w http.ResponseWriter, r *http.Request) {
	if m, _, ok := b.find(w, r); ok {
		writeJSON(w, http.StatusOK, m)
	}
}

func (b *Inbox) handleRequest(w http.ResponseWriter, r *http.Request) {
	if m, request, ok := b.find(w, r); ok {
		writeFile(w, "application/json", m.ID+".json", request)
	}
}

func (b *Inbox) handleAttachment(w http.ResponseWriter, r *http.Request) {
	m, _, ok := b.find(w, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(m.Attachments) {
		writeError(w, http.StatusNotFound, "There is no such attachment.")
		return
	}
	writeFile(w, m.Attachments[n].ContentType, m.Attachments[n].Name, m.Attachments[n].content)
}

func (b *Inbox) handleDelete(w http.ResponseWriter, r *http.Request) {
	if err := b.delete(r.PathValue("id")); err != nil {
		writeError(w, http.StatusNotFound, noSuchMessage)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *Inbox) handleClear(w http.ResponseWriter, _ *http.Request) {
	b.clear()
	w.WriteHeader(http.StatusNoContent)
}

const noSuchMessage = "There is no such message: it was deleted, or made room for newer ones."

// find opens the message of the path or answers that it cannot.
func (b *Inbox) find(w http.ResponseWriter, r *http.Request) (*Message, []byte, bool) {
	m, request, err := b.open(r.PathValue("id"))
	switch {
	case errors.Is(err, errNoMessage):
		writeError(w, http.StatusNotFound, noSuchMessage)
	case err != nil:
		b.log.Error("a message could not be opened", "error", err)
		writeError(w, http.StatusInternalServerError, "The message could not be read from the inbox's folder.")
	}
	return m, request, err == nil
}

// writeFile sends a file to be saved, never to be shown: an attachment may be
// HTML. Images are shown all the same where an <img> asks for them.
func writeFile(w http.ResponseWriter, contentType, name string, content []byte) {
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		contentType = "application/octet-stream"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) //nolint:gosec // an attachment to be saved, under a policy that sandboxes it
}

func writeError(w http.ResponseWriter, status int, sentence string) {
	writeJSON(w, status, map[string]string{"error": sentence})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller went away: nobody to tell
}
