package inbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
)

//go:embed assets
var files embed.FS

// pagePolicy lets the page do what it does and no more: nothing inline, nothing
// from elsewhere.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// shownRequestBytes of a request are shown; all of it can be downloaded.
const shownRequestBytes = 256 << 10

// The parts of a message that the page can show.
const (
	tabHTML        = "html"
	tabText        = "text"
	tabHeaders     = "headers"
	tabAttachments = "attachments"
	tabRaw         = "raw"
)

// view is what page.html is filled with.
type view struct {
	listing
	Query   string
	Limit   int // 0 means the default
	Hint    string
	Room    string // how much is kept
	Open    *Message
	Missing bool // there is no message with the id asked for
	Tab     string
	Raw     string
	Fields  []field
}

type field struct{ Name, Value string }

func parsePage() *template.Template {
	return template.Must(template.New("page.html").Funcs(template.FuncMap{
		"when": when, "size": size, "bytes": func(n int) string { return size(int64(n)) }, "isImage": isImage, "tab": newTab,
	}).ParseFS(files, "assets/page.html"))
}

func (b *Inbox) assets() http.Handler {
	served := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/assets/" || r.URL.Path == "/assets/page.html" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		served.ServeHTTP(w, r)
	})
}

func (b *Inbox) handlePage(w http.ResponseWriter, r *http.Request) {
	limit, ok := limitOf(r)
	if !ok {
		limit = defaultLimit
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	v := view{Query: query, Hint: b.cfg.Hint, Room: fmt.Sprintf("%d messages, %s", b.cfg.MaxMessages, size(b.cfg.MaxBytes)), listing: b.list(query, limit)}
	if limit != defaultLimit {
		v.Limit = limit
	}
	status := http.StatusOK
	if id := r.PathValue("id"); id != "" {
		m, request, err := b.open(id)
		if err != nil && !errors.Is(err, errNoMessage) {
			b.log.Error("a message could not be opened", "error", err)
		}
		if err != nil {
			status, v.Missing = http.StatusNotFound, true
		} else {
			v.show(m, request, r.URL.Query().Get("tab"))
		}
	}
	var page bytes.Buffer
	if err := b.page.Execute(&page, v); err != nil {
		b.log.Error("the page could not be made", "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the caller went away: nobody to tell
}

// show opens m at a tab, or at the first that has something.
func (v *view) show(m *Message, request []byte, tab string) {
	v.Open, v.Tab = m, tab
	if !slices.Contains([]string{tabHTML, tabText, tabHeaders, tabAttachments, tabRaw}, tab) {
		v.Tab = tabHTML
		if m.HTML == "" {
			v.Tab = tabText
		}
	}
	switch v.Tab {
	case tabHeaders:
		v.Fields = fields(m)
	case tabRaw:
		v.Raw = clip(shorten(request), shownRequestBytes)
	}
}

// tab is one of the links above a message.
type tab struct {
	Label, Href string
	Count       int
	Current     bool
}

func newTab(v view, name, label string, count int) tab {
	return tab{Label: label, Href: v.Link(v.Open.ID, name), Count: count, Current: v.Tab == name}
}

// Link is the address of a message at a tab, within the present search.
func (v view) Link(id, tab string) string {
	q := url.Values{}
	if v.Query != "" {
		q.Set("q", v.Query)
	}
	if v.Limit != 0 {
		q.Set("limit", strconv.Itoa(v.Limit))
	}
	if tab != "" {
		q.Set("tab", tab)
	}
	path := "/"
	if id != "" {
		path = "/messages/" + id
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// MoreLink is the page with all matching messages.
func (v view) MoreLink() string {
	v.Limit = v.Matching
	id := ""
	if v.Open != nil {
		id = v.Open.ID
	}
	return v.Link(id, v.Tab)
}

// To is what a row of the list says of the recipients.
func (s *Summary) To() string {
	all := s.Recipients.All()
	switch len(all) {
	case 0:
		return ""
	case 1:
		return mailbox(all[0])
	}
	return fmt.Sprintf("%s +%d", mailbox(all[0]), len(all)-1)
}

// Sender is the address with the name beside it, if it has one.
func (s *Summary) Sender() string {
	return fullMailbox(mail.Address{Address: s.From, DisplayName: s.FromName})
}

func fields(m *Message) []field {
	list := []field{{"From", m.Sender()}}
	for _, l := range []struct {
		name string
		list []mail.Address
	}{{"To", m.Recipients.To}, {"Cc", m.Recipients.CC}, {"Bcc", m.Recipients.BCC}, {"Reply-To", m.ReplyTo}} {
		for _, a := range l.list {
			list = append(list, field{l.name, fullMailbox(a)})
		}
	}
	list = append(list, field{"Subject", m.Subject})
	names := make([]string, 0, len(m.Headers))
	for name := range m.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, field{name, m.Headers[name]})
	}
	if m.UserEngagementTrackingDisabled {
		list = append(list, field{"userEngagementTrackingDisabled", "true"})
	}
	return append(list, field{"Operation", m.OperationID}, field{"Received", m.At.Format(time.RFC3339Nano)})
}

func mailbox(a mail.Address) string {
	if a.DisplayName != "" {
		return a.DisplayName
	}
	return a.Address
}

func fullMailbox(a mail.Address) string {
	if a.DisplayName != "" {
		return a.DisplayName + " <" + a.Address + ">"
	}
	return a.Address
}

// when is a time as a list shows it: of today the hour, else the day.
func when(t time.Time) string {
	t, now := t.Local(), time.Now()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2 Jan 2006")
}

func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
}

func isImage(contentType string) bool { return strings.HasPrefix(contentType, "image/") }

// base64Member is a member that would fill the screen; its beginning is enough.
var base64Member = regexp.MustCompile(`("contentInBase64":\s*"[^"]{48})([^"]*)"`)

// shorten lays a request out for reading.
func shorten(request []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, request, "", "  "); err != nil {
		return string(request)
	}
	return base64Member.ReplaceAllStringFunc(out.String(), func(member string) string {
		parts := base64Member.FindStringSubmatch(member)
		if parts[2] == "" {
			return member
		}
		return fmt.Sprintf(`%s… (%d more characters)"`, parts[1], len(parts[2]))
	})
}
