package hook

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// nextField is the hidden field with which a form asks for another page after
// success. Fields that begin with an underscore are for us and in no message.
const nextField = "_next"

// IsForm says whether h takes an HTML form.
func (h Hook) IsForm() bool { return h.Policy.Form != nil }

// AllowsOrigin says whether a site has the form. An origin of "null" is that of a
// page whose site is hidden, which only * allows.
func (h Hook) AllowsOrigin(origin string) bool {
	f := h.Policy.Form
	return f != nil && origin != "" && (slices.Contains(f.Origins, everything) || slices.Contains(f.Origins, strings.ToLower(origin)))
}

// fromItsSite looks at Origin, which browsers send with every form, or at Referer.
// That keeps other sites from using the form; it keeps no robot away.
func (h Hook) fromItsSite(header http.Header) error {
	origin := single(header, "Origin")
	if origin == "" || origin == "null" {
		if from, ok := originOf(single(header, "Referer")); ok {
			origin = from
		}
	}
	if h.AllowsOrigin(origin) || slices.Contains(h.Policy.Form.Origins, everything) {
		return nil
	}
	return problem.New(problem.Forbidden, "This form is not taken from this site. Its operator can add the site's origin.")
}

// Submission is what a form asks for beside its message.
type Submission struct {
	Robot bool   // the honeypot was filled in: say thanks, and send nothing
	Next  string // where the browser goes; "" means our own page
}

// Submission reads the fields of a form that are for us. A page that the form
// itself names is believed on the form's own sites only, so that nobody can use
// our address to lead people elsewhere.
func (h Hook) Submission(ctx context.Context, d Delivery) (Submission, error) {
	fields, err := d.payload(ctx)
	if err != nil {
		return Submission{}, err
	}
	f := h.Policy.Form
	s := Submission{Next: f.Redirect, Robot: len(fields.step(f.Honeypot).words()) > 0}
	next := fields.step(nextField).text
	if origin, ok := originOf(next); ok && slices.Contains(f.Origins, origin) {
		s.Next = next
	}
	return s, nil
}

// shown is a form without the fields that are for us.
func (h Hook) shown(fields value) value {
	fields.members = slices.DeleteFunc(slices.Clone(fields.members), func(of member) bool {
		return of.name == h.Policy.Form.Honeypot || strings.HasPrefix(of.name, "_")
	})
	return fields
}
