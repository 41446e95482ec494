package sendgrid

import (
	"net/http"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// Error is a problem in SendGrid's form. Its clients show nothing of an answer
// whose errors are not a list.
type Error struct {
	Errors []Fault `json:"errors"`
	// Type is the problem's URI, for which SendGrid has no member.
	Type string `json:"type"`
}

// Fault is one of the errors. Many programs show the message of the first and nothing else.
type Fault struct {
	Message string  `json:"message"`
	Field   *string `json:"field"` // personalizations.0.to.1.email
	Help    *string `json:"help"`
}

// statuses are those that differ from the kind's own: SendGrid has no 422.
var statuses = map[problem.Kind]int{
	problem.KeyReused:      http.StatusBadRequest,
	problem.RefusedByACS:   http.StatusBadRequest,
	problem.DeadlinePassed: http.StatusBadRequest,
}

// Refusal is the status and the body of an answer that says what is wrong.
func Refusal(p *problem.Problem) (status int, body any) {
	status, ok := statuses[p.Kind]
	if !ok {
		status = p.Kind.Status()
	}
	help := p.Kind.Type()
	e := Error{Type: help}
	if len(p.Violations) == 0 {
		e.Errors = []Fault{{p.Detail, nil, &help}}
	}
	for i, f := range p.Violations {
		said := f.Sentence(dotted)
		if i == 0 {
			said = p.Before(said)
		}
		e.Errors = append(e.Errors, Fault{said, field(f.Pointer), &help})
	}
	return status, e
}

// field is nil for the whole body.
func field(pointer string) *string {
	if pointer == "" {
		return nil
	}
	return new(dotted(pointer))
}

// dotted writes a JSON pointer as SendGrid does.
func dotted(pointer string) string {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, s := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return strings.Join(steps, ".")
}
