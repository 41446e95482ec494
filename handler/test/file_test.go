package test

import (
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// fileBytes does not fit into ACS's 10 MiB, before or after Base64.
const fileBytes = 12 << 20

// file is random bytes, the same in every run for a size.
func file(size int64) []byte {
	content := make([]byte, size)
	seed := [32]byte{}
	copy(seed[:], strconv.FormatInt(size, 10))
	_, _ = rand.NewChaCha8(seed).Read(content) // never fails
	return content
}

var anyAddress = regexp.MustCompile(`https?://[^\s"<]+`)

// A file that does not fit becomes a link, which leads to the same bytes until
// its operator withdraws it.
func (p *product) testFile(t *testing.T) {
	const size = fileBytes + 1
	w := newDeployment(t, p, world.Options{})
	content := file(size)
	d := w.MustSend(t, world.Message(world.Attached("Jahres bericht ä.zip", content)), "Content-Language", "de")
	if l := d.Delivery.Links; len(l) != 1 || l[0].Name != "Jahres bericht ä.zip" || l[0].Size != size || l[0].Attachment != 0 {
		t.Errorf("the answer tells of %+v", l)
	}
	got := w.ACS.Message(t)
	link := anyAddress.FindString(got.Text)
	if len(got.Attachments) != 0 || !strings.HasPrefix(got.Text, world.Text) || strings.Count(got.Text, link) != 1 ||
		strings.Count(got.HTML, `href="`+link+`"`) != 1 || !strings.Contains(got.HTML, "Angehängte Dateien") {
		t.Fatalf("attachments %d, text %q, HTML %q", len(got.Attachments), got.Text, got.HTML)
	}
	token, ok := strings.CutPrefix(link, w.URL+"/files/")
	if !ok {
		t.Fatalf("the link is %s", link)
	}

	before := time.Now()
	redirect := w.Do(t, http.MethodGet, "/files/"+token, nil, "Authorization", "")
	if redirect.StatusCode != http.StatusFound || redirect.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %v", redirect.Status, redirect.Header)
	}
	w.expectSAS(t, redirect.Header.Get("Location"), before.Add(15*time.Minute))
	w.expectFile(t, redirect.Header.Get("Location"), content)
	w.expectPrivate(t, redirect.Header.Get("Location"))

	w.Operate(t, "links", "revoke", link, "--dry-run")
	w.expectFile(t, redirect.Header.Get("Location"), content)
	w.Operate(t, "links", "revoke", link, "--yes")
	w.Operate(t, "links", "revoke", link) // it may be repeated, and nothing is left to ask
	if a := w.Do(t, http.MethodGet, "/files/"+token, nil, "Authorization", "", "Accept-Language", "de"); a.StatusCode != http.StatusGone || !strings.Contains(string(a.Body), "Dieser Link gilt nicht mehr") {
		t.Errorf("withdrawn: %s %s", a.Status, a.Body)
	}
	// One character of the secret is another one.
	wrong := token[:len(token)-1] + string('A'+('B'-rune(token[len(token)-1]))&1)
	if a := w.Do(t, http.MethodGet, "/files/"+wrong, nil); a.StatusCode != http.StatusNotFound || !strings.Contains(string(a.Body), "<html") {
		t.Errorf("unknown: %s %s", a.Status, a.Body)
	}
}

// expectSAS wants a signature of an identity, for reading one blob by HTTPS, that
// ends at the latest a minute after a time.
func (w *deployment) expectSAS(t *testing.T, location string, latest time.Time) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	until, err := time.Parse(time.RFC3339, q.Get("se"))
	if err != nil || until.After(latest.Add(time.Minute)) {
		t.Errorf("it lives until %s, %v", q.Get("se"), err)
	}
	if "https://"+u.Host != w.Storage.Blob || q.Get("sp") != "r" || q.Get("sr") != "b" || q.Get("spr") != "https" || q.Get("skoid") == "" {
		t.Errorf("not a SAS to read one blob: %s", location)
	}
}

func (w *deployment) expectFile(t *testing.T, location string, content []byte) {
	t.Helper()
	a := w.fetch(t, location)
	if a.StatusCode != http.StatusOK || sha256.Sum256(a.Body) != sha256.Sum256(content) {
		t.Errorf("%s, %d bytes, want the %d sent", a.Status, len(a.Body), len(content))
	}
	if d := a.Header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment;") {
		t.Errorf("Content-Disposition is %q", d)
	}
	if c := a.Header.Get("Content-Type"); c != "application/octet-stream" {
		t.Errorf("Content-Type is %s", c)
	}
}

// expectPrivate wants the signature to be the only way to the blob, and the blob
// to be all that it opens.
func (w *deployment) expectPrivate(t *testing.T, location string) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	container := u.Scheme + "://" + u.Host + "/" + strings.Split(u.Path, "/")[1]
	for name, address := range map[string]string{
		"the blob without a signature": strings.TrimSuffix(location, "?"+u.RawQuery),
		"a list without a signature":   container + "?restype=container&comp=list",
		"a list with the signature":    container + "?restype=container&comp=list&" + u.RawQuery,
		"another blob":                 container + "/2030-01-01/other?" + u.RawQuery,
		"a changed signature":          strings.Replace(location, "sig=", "sig=A", 1),
	} {
		if a := w.fetch(t, address); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
}

func (w *deployment) fetch(t *testing.T, location string) world.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Recipients.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return world.Read(t, res)
}
